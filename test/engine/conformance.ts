/**
 * What every engine must do, as one suite: `describeEngine` runs it against one. The numbers of the cases are those of
 * the design. Those that need a server or several machines stand beside the engine that needs them; those of the link
 * between workers and broker (8, 9, 12, 14, 23a, 27) in test/relay/broker-link/.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type {
  Append,
  Appended,
  Engine,
  EngineEvents,
  HistoryRule,
  Page,
  Position,
  Range,
} from '../../src/engine/engine.ts';

/** An engine for one test. */
export interface Rig {
  engine: Engine;
  /** what it has delivered, in order */
  readonly delivered: { channel: string; position: Position; payload: string }[];
  /** subscribes to a channel; missing: everything is delivered */
  listen?: (channel: string) => Promise<void>;
  /** waits until everything that was stored is delivered; missing: it is at once */
  settle?: () => Promise<void>;
  /** moves its clock on */
  advance: (ms: number) => void | Promise<void>;
  /** Ends it as `kill -9` would and starts another one with what is kept; missing: nothing is kept. */
  crash?: () => Promise<void>;
  /** The same after a close in order. */
  restart?: () => Promise<void>;
  /** The same after a crash of the operating system. */
  reboot?: () => Promise<void>;
}

export type MakeRig = (t: TestContext, rule: HistoryRule) => Promise<Rig> | Rig;

export const minute = 60_000;
export const rule: HistoryRule = {
  historySize: 1_000,
  historyTtlMs: 5 * minute,
  historyMetaTtlMs: 60 * minute,
};

/** Records what an engine delivers. */
export function recorder(delivered: Rig['delivered']): EngineEvents {
  return {
    publication: ({ channel, payload }, position) => {
      delivered.push({ channel, position, payload: payload.toString('latin1') });
    },
    durable: () => undefined,
  };
}

let lastNumber = 0;

export function append(channel: string, payload: string | Buffer, more: Partial<Append> = {}): Append {
  return {
    channel,
    payload: Buffer.from(payload),
    meta: Buffer.alloc(0),
    key: '',
    sender: 0,
    readAt: 0,
    trace: Buffer.alloc(0),
    worker: 'worker-1',
    number: ++lastNumber,
    ...more,
  };
}

const everything = { limit: 100_000, limitBytes: 2 ** 30 };

function read(
  engine: Engine,
  channel: string,
  since: Position | null,
  range: Partial<Range> = {},
): Promise<Page> {
  return engine.history(channel, { ...everything, since, ...range });
}

async function publish(
  engine: Engine,
  channel: string,
  payload: string | Buffer,
  more: Partial<Append> = {},
) {
  const [result] = await engine.publish([append(channel, payload, more)]);
  assert.ok(result);
  return result as Appended & { position: Position };
}

const texts = ({ messages }: Page) => messages.map(({ payload }) => payload);

/** The answer to a position that cannot be resumed from. */
async function assertUnrecovered(
  engine: Engine,
  channel: string,
  since: Position,
  range: Partial<Range> = {},
) {
  const page = await read(engine, channel, since, range);
  assert.deepEqual([page.complete, page.messages], [false, []]);
  const { top } = await read(engine, channel, null, { limit: 0 });
  assert.deepEqual(page.top, top, 'the present position');
}

export function describeEngine(name: string, make: MakeRig): void {
  describe(`engine: ${name}`, () => {
    it('1: gives growing offsets and one epoch per channel', async (t) => {
      const { engine } = await make(t, rule);
      const first = await publish(engine, 'a', '1');
      const results = await engine.publish(['2', '3', '4'].map((text) => append('a', text)));
      const other = await publish(engine, 'b', '1');
      const positions = [first, ...results].map(({ position }) => position);
      const { epoch } = first.position;
      assert.deepEqual(
        positions,
        [1, 2, 3, 4].map((_, i) => ({ epoch, offset: first.position.offset + i })),
      );
      assert.notEqual(other.position.epoch, epoch);
    });

    it('1: gives a position to a channel without messages', async (t) => {
      const { engine } = await make(t, rule);
      const { top, messages } = await read(engine, 'a', null);
      assert.deepEqual(messages, []);
      const { position } = await publish(engine, 'a', '1');
      assert.deepEqual(position, { epoch: top.epoch, offset: top.offset + 1 });
      const page = await read(engine, 'a', top);
      assert.deepEqual([page.complete, texts(page)], [true, ['1']]);
    });

    it('2: has one order for all readers of two publishers', async (t) => {
      const { engine, delivered, listen, settle } = await make(t, rule);
      await listen?.('a');
      const { top } = await read(engine, 'a', null);
      const send = async (worker: string) => {
        for (let number = 1; number <= 50; number++) {
          await publish(engine, 'a', `${worker}:${number}`, { worker, number });
        }
      };
      await Promise.all([send('one'), send('two')]);
      await settle?.();
      const page = await read(engine, 'a', top);
      assert.deepEqual(
        texts(page),
        delivered.map(({ payload }) => payload),
      );
      assert.deepEqual(
        page.messages.map(({ offset }) => offset),
        Array.from({ length: 100 }, (_, index) => top.offset + index + 1),
      );
      for (const worker of ['one', 'two']) {
        const own = texts(page).filter((text) => text.startsWith(worker));
        assert.deepEqual(
          own,
          Array.from({ length: 50 }, (_, index) => `${worker}:${index + 1}`),
        );
      }
    });

    it('3: resumes from every offset with exactly what follows', async (t) => {
      const { engine } = await make(t, rule);
      const { top } = await read(engine, 'a', null);
      const sent = Array.from({ length: 200 }, (_, index) => `m${index + 1}`);
      await engine.publish(sent.map((text) => append('a', text)));
      for (let missed = 0; missed <= 200; missed++) {
        const page = await read(engine, 'a', { epoch: top.epoch, offset: top.offset + missed });
        assert.equal(page.complete, true);
        assert.deepEqual(texts(page), sent.slice(missed));
      }
    });

    it('4: resumes at the top with nothing', async (t) => {
      const { engine } = await make(t, rule);
      const { position } = await publish(engine, 'a', '1');
      assert.deepEqual(await read(engine, 'a', position), { top: position, complete: true, messages: [] });
    });

    it('5: does not resume from what was trimmed by size', async (t) => {
      const { engine } = await make(t, { ...rule, historySize: 3 });
      const { position: first } = await publish(engine, 'a', '1');
      await engine.publish(['2', '3', '4'].map((text) => append('a', text)));
      assert.deepEqual(texts(await read(engine, 'a', first)), ['2', '3', '4']);
      await publish(engine, 'a', '5');
      await assertUnrecovered(engine, 'a', first);
      assert.deepEqual(texts(await read(engine, 'a', null)), ['3', '4', '5']);
    });

    it('5: does not resume from what has expired, each message at its own time', async (t) => {
      const { engine, advance } = await make(t, rule);
      const { top } = await read(engine, 'a', null);
      const { position: first } = await publish(engine, 'a', '1');
      await advance(4 * minute);
      const { position: second } = await publish(engine, 'a', '2');
      await advance(2 * minute);
      await assertUnrecovered(engine, 'a', top);
      assert.deepEqual(texts(await read(engine, 'a', first)), ['2']);
      await advance(4 * minute);
      await assertUnrecovered(engine, 'a', first);
      const atTop = await read(engine, 'a', second);
      assert.deepEqual([atTop.complete, atTop.messages], [true, []]);
    });

    it('6: does not resume from positions that it has not given', async (t) => {
      const { engine } = await make(t, rule);
      const { position } = await publish(engine, 'a', '1');
      const { position: other } = await publish(engine, 'b', '1');
      for (const offset of [position.offset + 1, 2 ** 53 - 1, -1, -(2 ** 40)]) {
        await assertUnrecovered(engine, 'a', { ...position, offset });
      }
      for (const epoch of [other.epoch, '', 'nonsense', 'ü'.repeat(100)]) {
        await assertUnrecovered(engine, 'a', { ...position, epoch });
      }
    });

    it('7: does not resume where more was missed than the limits allow', async (t) => {
      const { engine } = await make(t, rule);
      const { top } = await read(engine, 'a', null);
      await engine.publish(['aaaa', 'bbbb', 'cccc'].map((text) => append('a', text)));
      assert.equal((await read(engine, 'a', top, { limit: 3, limitBytes: 12 })).complete, true);
      await assertUnrecovered(engine, 'a', top, { limit: 2 });
      await assertUnrecovered(engine, 'a', top, { limitBytes: 11 });
      assert.deepEqual(texts(await read(engine, 'a', null, { limit: 2 })), ['bbbb', 'cccc']);
      assert.deepEqual(texts(await read(engine, 'a', null, { limitBytes: 5 })), ['cccc']);
    });

    it('reads pages in both directions, from either end and from every position', async (t) => {
      const { engine } = await make(t, { ...rule, historySize: 6 });
      await engine.publish(Array.from({ length: 9 }, (_, index) => append('a', `${index + 1}`)));
      const { top } = await read(engine, 'a', null); // 4 to 9 are kept
      const page = async (
        direction: 'forward' | 'reverse',
        offset: number | null,
        range: Partial<Range> = {},
      ) => {
        const since = offset === null ? null : { ...top, offset };
        const { complete, more, ...found } = await read(engine, 'a', since, { ...range, page: direction });
        assert.deepEqual(found.top, top);
        return complete ? `${texts(found as Page).join('')}${more === true ? '+' : ''}` : 'unknown';
      };
      assert.equal(await page('forward', null), '456789');
      assert.equal(await page('forward', null, { limit: 2 }), '45+');
      assert.equal(await page('reverse', null, { limit: 2 }), '89+');
      assert.equal(await page('reverse', null, { limit: 6 }), '456789');
      const forward = ['unknown', '45+', '56+', '67+', '78+', '89', '9', '', 'unknown'];
      for (const [index, wanted] of forward.entries()) {
        assert.equal(await page('forward', index + 2, { limit: 2 }), wanted, `forward from ${index + 2}`);
      }
      const reverse = ['', '', '', '4', '45', '56+', '67+', '78+', 'unknown'];
      for (const [index, wanted] of reverse.entries()) {
        assert.equal(await page('reverse', index + 2, { limit: 2 }), wanted, `back from ${index + 2}`);
      }
      for (const [direction, one, two] of [
        ['forward', '4+', '45+'],
        ['reverse', '9+', '89+'],
      ] as const) {
        assert.equal(await page(direction, null, { limitBytes: 0 }), one, 'one message at least');
        assert.equal(await page(direction, null, { limitBytes: 2 }), two);
      }
      const other = await read(engine, 'a', { ...top, epoch: 'other' }, { page: 'reverse' });
      assert.deepEqual([other.complete, other.messages], [false, []]);
    });

    it('10: reads history during live messages without a hole or a double', async (t) => {
      const { engine, delivered } = await make(t, { ...rule, historySize: 10_000 });
      const { top } = await read(engine, 'a', null);
      const live = (async () => {
        for (let sent = 0; sent < 5_000; sent += 10) {
          await engine.publish(Array.from({ length: 10 }, (_, index) => append('a', `${sent + index}`)));
        }
      })();
      let seen = top;
      const received: string[] = [];
      while (received.length < 5_000) {
        const known = delivered.at(-1)?.position.offset ?? top.offset;
        const page = await read(engine, 'a', seen);
        assert.equal(page.complete, true);
        received.push(...texts(page));
        seen = page.top;
        assert.ok(seen.offset >= known, 'what was delivered can be read');
      }
      await live;
      assert.deepEqual(
        received,
        Array.from({ length: 5_000 }, (_, index) => `${index}`),
      );
    });

    it('11: stores a key once, at its first position, for five minutes', async (t) => {
      const { engine, delivered, advance, listen, settle } = await make(t, rule);
      await listen?.('a');
      const first = await publish(engine, 'a', '1', { key: 'k' });
      const again = await publish(engine, 'a', '1', { key: 'k', worker: 'worker-2', number: 1 });
      assert.deepEqual(again, { position: first.position, duplicate: 'key' });
      assert.equal((await publish(engine, 'b', '1', { key: 'k' })).duplicate, null);
      assert.equal((await publish(engine, 'a', '1', { key: 'kk' })).duplicate, null);
      await settle?.();
      assert.equal(delivered.filter(({ channel }) => channel === 'a').length, 2);
      await advance(5 * minute + 1_000);
      assert.equal((await publish(engine, 'a', '1', { key: 'k' })).duplicate, null);
    });

    it('12: stores an append that is sent again once', async (t) => {
      const { engine, delivered, listen, settle } = await make(t, rule);
      await listen?.('a');
      const batch = ['1', '2', '3'].map((text) => append('a', text));
      const first = await engine.publish(batch.slice(0, 2));
      const second = await engine.publish(batch);
      assert.deepEqual(
        second.map(({ duplicate }) => duplicate),
        ['retry', 'retry', null],
      );
      assert.deepEqual(
        second.slice(0, 2).map(({ position }) => position),
        first.map(({ position }) => position),
      );
      await settle?.();
      assert.deepEqual(
        delivered.map(({ payload }) => payload),
        ['1', '2', '3'],
      );
    });

    it('13: keeps any bytes under any name', async (t) => {
      const { engine } = await make(t, rule);
      const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      const large = Buffer.alloc(64 * 1024, all);
      const names = ['{a}', '*', 'a.b.>', 'a b', '😀'.repeat(63) + 'abc', '__proto__', 'x'.repeat(255)];
      for (const channel of names) {
        const { top } = await read(engine, channel, null);
        const meta = all.subarray(100);
        await engine.publish(
          [all, Buffer.alloc(0), large].map((payload) => append(channel, payload, { meta })),
        );
        const page = await read(engine, channel, top);
        assert.deepEqual(
          texts(page),
          [all, Buffer.alloc(0), large].map((bytes) => bytes.toString('latin1')),
        );
        assert.equal(page.messages[0]?.meta, meta.toString('latin1'));
      }
    });

    it('24: removes the history and keeps epoch and top', async (t) => {
      const { engine } = await make(t, rule);
      const { position: first } = await publish(engine, 'a', '1');
      const { position: second } = await publish(engine, 'a', '2');
      assert.deepEqual(await engine.remove('a'), second);
      await assertUnrecovered(engine, 'a', first);
      assert.deepEqual(await read(engine, 'a', second), { top: second, complete: true, messages: [] });
      const { position: third } = await publish(engine, 'a', '3');
      assert.deepEqual(third, { epoch: first.epoch, offset: second.offset + 1 });
    });

    it('26: keeps positions longer than messages, and never gives one again', async (t) => {
      const { engine, advance } = await make(t, rule);
      const { position } = await publish(engine, 'a', '1');
      await advance(rule.historyMetaTtlMs - minute);
      assert.equal((await read(engine, 'a', position)).complete, true);
      await advance(rule.historyMetaTtlMs + minute);
      const { position: later } = await publish(engine, 'a', '2');
      const isSame = later.epoch === position.epoch;
      if (isSame) assert.ok(later.offset > position.offset);
      else await assertUnrecovered(engine, 'a', position);
    });

    it('28: goes on after the end of all processes', async (t) => {
      const rig = await make(t, rule);
      const { crash, restart } = rig;
      if (!crash || !restart) {
        t.skip('keeps nothing');
        return;
      }
      const { top } = await read(rig.engine, 'a', null);
      const empty = await read(rig.engine, 'quiet', null);
      const batch = [append('a', '1', { meta: Buffer.from('meta') }), append('a', '2', { key: 'k' })];
      const results = await rig.engine.publish(batch);
      for (const [index, again] of [crash, restart, crash, restart].entries()) {
        await again();
        const page = await read(rig.engine, 'a', top);
        assert.equal(page.complete, true);
        assert.deepEqual(texts(page).slice(0, 2), ['1', '2']);
        assert.equal(texts(page).length, 2 + index);
        assert.equal(page.messages[0]?.meta, 'meta');
        assert.deepEqual((await read(rig.engine, 'quiet', null)).top, empty.top);
        const repeated = await rig.engine.publish(batch);
        assert.deepEqual(
          repeated,
          results.map(({ position }) => ({ position, duplicate: 'retry' })),
        );
        const keyed = await publish(rig.engine, 'a', '2', { key: 'k', worker: `late-${index}`, number: 1 });
        assert.deepEqual(keyed, { position: results[1]?.position, duplicate: 'key' });
        const { position } = await publish(rig.engine, 'a', `later ${index}`);
        assert.deepEqual(position, { epoch: top.epoch, offset: top.offset + 3 + index });
      }
      await rig.engine.remove('a');
      await crash();
      assert.deepEqual(texts(await read(rig.engine, 'a', null)), [], 'what was removed stays away');
    });

    it('29: does not resume after the operating system has crashed', async (t) => {
      const rig = await make(t, rule);
      if (!rig.reboot) {
        t.skip('keeps nothing');
        return;
      }
      const { position } = await publish(rig.engine, 'a', '1');
      await publish(rig.engine, 'a', '2');
      await rig.reboot();
      await assertUnrecovered(rig.engine, 'a', position);
      const { position: fresh } = await publish(rig.engine, 'a', '1');
      assert.notEqual(fresh.epoch, position.epoch);
    });
  });
}
