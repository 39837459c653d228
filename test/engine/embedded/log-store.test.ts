/** The files of the embedded engine: torn writes, damage, rewrites, full disks, crashes of the operating system. */
import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { EmbeddedEngine } from '../../../src/engine/embedded/embedded-engine.ts';
import { LogStore } from '../../../src/engine/embedded/log-store.ts';
import type { Position } from '../../../src/engine/engine.ts';
import { temporaryFolder } from '../../support.ts';
import { append, rule } from '../conformance.ts';
import { embeddedOptions, TestClock } from './rigs.ts';

const all = { limit: 100_000, limitBytes: 2 ** 30 };

/** Engines on one folder, one after the other. */
class Bench {
  readonly folder: string;
  readonly clock = new TestClock();
  readonly told: boolean[] = [];
  historySize = rule.historySize;
  store!: LogStore;
  engine!: EmbeddedEngine;

  constructor(t: TestContext) {
    this.folder = temporaryFolder(t);
    this.open();
  }

  open(bootId = 'boot-1'): void {
    this.store = new LogStore(this.folder, bootId);
    const options = embeddedOptions(rule, [], this.clock);
    this.engine = new EmbeddedEngine({
      ...options,
      store: this.store,
      rule: () => ({ ...rule, historySize: this.historySize }),
      events: { ...options.events, durable: (isDurable) => this.told.push(isDurable) },
    });
    this.engine.start();
  }

  get files(): string[] {
    return readdirSync(this.folder).sort();
  }

  get file(): string {
    const [name = ''] = this.files.filter((each) => each.startsWith('history-')).slice(-1);
    return join(this.folder, name);
  }

  async publish(channel: string, ...payloads: string[]): Promise<Position> {
    const results = await this.engine.publish(payloads.map((payload) => append(channel, payload)));
    const position = results.at(-1)?.position;
    assert.ok(position);
    return position;
  }

  async texts(channel: string, since: Position | null = null): Promise<string[] | null> {
    const page = await this.engine.history(channel, { ...all, since });
    return page.complete ? page.messages.map(({ payload }) => payload) : null;
  }
}

describe('LogStore', () => {
  it('loads every complete block of a file that is cut at any byte', async (t) => {
    const bench = new Bench(t);
    const sizes = [statSync(bench.file).size];
    for (const text of ['1', '2', '3', '4', '5']) {
      await bench.publish('a', text);
      sizes.push(statSync(bench.file).size);
    }
    const bytes = readFileSync(bench.file);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: sizes[0] ?? 0, max: bytes.length }), async (length) => {
        for (const name of bench.files) truncateSync(join(bench.folder, name), 0);
        writeFileSync(bench.file, bytes.subarray(0, length));
        bench.open();
        const whole = sizes.filter((size) => size <= length).length - 1;
        assert.deepEqual(await bench.texts('a'), ['1', '2', '3', '4', '5'].slice(0, whole));
        const { offset } = await bench.publish('a', 'next');
        assert.equal(offset, whole + 1);
        bench.open();
        assert.equal((await bench.texts('a'))?.at(-1), 'next');
      }),
    );
  });

  it('sets damaged files aside and starts with new ones', async (t) => {
    const bench = new Bench(t);
    const position = await bench.publish('a', '1');
    await bench.publish('a', '2');
    const good = readFileSync(bench.file);
    for (const at of [0, 9, 60, good.length - 1]) {
      const bad = Buffer.from(good);
      bad.writeUInt8((bad[at] ?? 0) ^ 0x40, at);
      writeFileSync(bench.file, bad);
      bench.open();
      assert.equal(bench.store.outcome, 'unreadable', `byte ${at}`);
      assert.deepEqual(readFileSync(join(bench.folder, 'unreadable.log')), bad);
      assert.equal(await bench.texts('a', position), null);
    }
    writeFileSync(bench.file, 'x');
    bench.open();
    assert.equal(bench.store.outcome, 'unreadable');
  });

  it('sets a file with foreign bytes at its end aside', async (t) => {
    const bench = new Bench(t);
    await bench.publish('a', '1');
    appendFileSync(bench.file, Buffer.alloc(64, 7));
    bench.open();
    assert.equal(bench.store.outcome, 'unreadable');
  });

  it('loads files after a restart of the operating system only if they were closed before', async (t) => {
    const bench = new Bench(t);
    const position = await bench.publish('a', '1', '2');
    await bench.engine.close();
    bench.open('boot-2');
    assert.equal(bench.store.outcome, 'continued');
    assert.deepEqual(await bench.texts('a', position), []);
    bench.open('boot-3');
    assert.equal(bench.store.outcome, 'rebooted');
    assert.equal(await bench.texts('a', position), null);
    bench.open('');
    bench.open('');
    assert.equal(bench.store.outcome, 'rebooted', 'without a boot id only a close counts');
  });

  it('rewrites a file with mostly removed data, in steps, without loss', async (t) => {
    const bench = new Bench(t);
    bench.historySize = 100;
    const payload = 'x'.repeat(10_000);
    const quiet = await bench.publish('quiet', 'kept');
    await bench.engine.publish([append('keyed', 'once', { key: 'k' })]);
    let largest = 0;
    let rewrites = 0;
    let before = 0;
    for (let sent = 0; sent < 4_000; sent += 10) {
      await bench.publish('busy', ...Array.from({ length: 10 }, (_, index) => `${sent + index}:${payload}`));
      if (sent % 100 === 0) await turn();
      const { fileBytes } = bench.engine;
      if (fileBytes < before) rewrites += 1;
      before = fileBytes;
      largest = Math.max(largest, fileBytes);
    }
    assert.ok(rewrites > 0);
    assert.ok(largest < 32 * 1024 * 1024, `${largest} bytes`);
    const expected = (await bench.texts('busy'))?.map((text) => text.split(':')[0]);
    assert.deepEqual(
      expected,
      Array.from({ length: 100 }, (_, index) => `${3_900 + index}`),
    );
    bench.open();
    assert.deepEqual(
      (await bench.texts('busy'))?.map((text) => text.split(':')[0]),
      expected,
    );
    assert.deepEqual(await bench.texts('quiet', { ...quiet, offset: 0 }), ['kept']);
    const [again] = await bench.engine.publish([append('keyed', 'once', { key: 'k' })]);
    assert.equal(again?.duplicate, 'key');
  });

  it('can be stopped at any step of a rewrite', async (t) => {
    const bench = new Bench(t);
    const names = Array.from({ length: 300 }, (_, index) => `c${index}`);
    const tops = new Map<string, Position>();
    for (const name of names) tops.set(name, await bench.publish(name, '1', 'x'.repeat(5_000), '3'));
    bench.store.rewrite(bench.engine.snapshot());
    for (let isMore = true, steps = 0; isMore; steps++) {
      isMore = bench.store.step();
      const name = names[steps % names.length] ?? '';
      if (steps === 1) await bench.engine.remove('c299');
      tops.set(name, await bench.publish(name, `step ${steps}`));
      const other = new Bench(t);
      for (const file of bench.files) {
        writeFileSync(join(other.folder, file), readFileSync(join(bench.folder, file)));
      }
      other.open();
      for (const each of names) {
        assert.deepEqual(await other.texts(each), await bench.texts(each), `${each} after step ${steps}`);
        const { top } = await other.engine.history(each, { ...all, since: null });
        assert.deepEqual(top, tops.get(each));
      }
    }
    assert.equal(bench.files.length, 1);
  });

  it('continues in memory while the disk refuses writes, and writes the complete state later', async (t) => {
    const bench = new Bench(t);
    const first = await bench.publish('a', '1');
    const full = () => {
      throw new Error('ENOSPC: no space left on device, write');
    };
    Object.assign(bench.store, { commit: full, rewrite: full });
    await bench.publish('a', '2');
    assert.deepEqual([bench.told, bench.engine.durable], [[false], false]);
    assert.deepEqual(bench.files, [], 'a file with a hole is not kept');
    await bench.publish('a', '3');
    assert.deepEqual(await bench.texts('a', first), ['2', '3']);
    bench.clock.now += 31_000;
    bench.engine.sweep();
    assert.deepEqual(bench.told, [false]);
    Reflect.deleteProperty(bench.store, 'commit');
    Reflect.deleteProperty(bench.store, 'rewrite');
    bench.clock.now += 31_000;
    bench.engine.sweep();
    await bench.publish('a', '4');
    while (!bench.engine.durable) await turn();
    assert.deepEqual(bench.told, [false, true]);
    bench.open();
    assert.equal(bench.store.outcome, 'continued');
    assert.deepEqual(await bench.texts('a', first), ['2', '3', '4']);
  });
});
