/** The embedded engine: the suite of every engine, its bounds, and the whole against a simple model. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { EmbeddedEngine } from '../../../src/engine/embedded/embedded-engine.ts';
import type { Engine, HistoryRule, Position } from '../../../src/engine/engine.ts';
import { append, describeEngine, minute, rule } from '../conformance.ts';
import { embeddedOptions, fileRig, memoryRig, TestClock } from './rigs.ts';

describeEngine('embedded, in memory', memoryRig);
describeEngine('embedded, with a file', fileRig);

const all = { limit: 100_000, limitBytes: 2 ** 30 };

async function publish(engine: Engine, channel: string, payload: string): Promise<Position> {
  const [result] = await engine.publish([append(channel, payload)]);
  assert.ok(result?.position);
  return result.position;
}

describe('EmbeddedEngine', () => {
  it('evicts the least recently used histories above its memory limit, and keeps their positions', async () => {
    const options = { ...embeddedOptions(rule, [], new TestClock()), maxBytes: 200_000 };
    const engine = new EmbeddedEngine(options);
    const firsts = new Map<string, Position>();
    for (let channel = 0; channel < 20; channel++) {
      for (let index = 0; index < 10; index++) {
        const position = await publish(engine, `c${channel}`, 'x'.repeat(2_000));
        if (index === 0) firsts.set(`c${channel}`, position);
      }
      await publish(engine, 'c0', 'used all the time');
      assert.ok(engine.bytes <= options.maxBytes);
    }
    const isComplete = async (channel: string, since: Position) =>
      (await engine.history(channel, { ...all, since })).complete;
    const kept: boolean[] = [];
    for (const [channel, position] of firsts) kept.push(await isComplete(channel, position));
    assert.equal(kept[0], true, 'used all the time');
    assert.equal(kept[1], false, 'given up');
    assert.equal(kept[19], true, 'the last');
    const { top } = await engine.history('c1', { ...all, since: null });
    assert.deepEqual(top, { epoch: firsts.get('c1')?.epoch, offset: 10 });
    assert.ok(engine.counters.evictedChannels > 0);
    assert.equal(engine.counters.epochs.lost, 0);
    assert.equal(engine.counters.epochs.new, 20);
  });

  it('removes the positions of unused channels if they alone exceed the limit', async () => {
    const used = new Set(['c0']);
    const options = {
      ...embeddedOptions(rule, [], new TestClock()),
      maxBytes: 100_000,
      isUsed: (channel: string) => used.has(channel),
    };
    const engine = new EmbeddedEngine(options);
    const first = await publish(engine, 'c0', '1');
    for (let channel = 1; channel < 2_000; channel++)
      await engine.history(`c${channel}`, { ...all, since: null });
    assert.ok(engine.bytes <= options.maxBytes);
    assert.ok(engine.counters.epochs.lost > 1_000);
    const { top } = await engine.history('c0', { ...all, since: null });
    assert.deepEqual(top, first);
  });

  it('limits the memory of idempotency keys', async () => {
    const options = { ...embeddedOptions(rule, [], new TestClock()), maxBytes: 100_000 };
    const engine = new EmbeddedEngine(options);
    for (let key = 0; key < 1_000; key++) await engine.publish([append('a', '', { key: `key-${key}` })]);
    assert.ok(engine.bytes <= options.maxBytes);
  });

  it('uses zero bytes after everything has expired', async () => {
    const clock = new TestClock();
    const engine = new EmbeddedEngine(embeddedOptions(rule, [], clock));
    for (let index = 0; index < 100; index++) await publish(engine, `c${index % 7}`, 'text');
    assert.deepEqual([engine.messages, engine.channels], [100, 7]);
    clock.now += rule.historyTtlMs;
    engine.sweep();
    assert.deepEqual([engine.messages, engine.channels, engine.counters.trimmed.ttl], [0, 7, 100]);
    clock.now += rule.historyMetaTtlMs;
    engine.sweep();
    assert.deepEqual([engine.messages, engine.channels, engine.bytes], [0, 0, 0]);
  });

  it('applies a changed history rule', async () => {
    const rules: { present: HistoryRule } = { present: rule };
    const engine = new EmbeddedEngine({
      ...embeddedOptions(rule, [], new TestClock()),
      rule: () => rules.present,
    });
    const first = await publish(engine, 'a', '1');
    for (const text of ['2', '3', '4']) await publish(engine, 'a', text);
    rules.present = { ...rule, historySize: 2 };
    const page = await engine.history('a', { ...all, since: null });
    assert.deepEqual(
      page.messages.map(({ payload }) => payload),
      ['3', '4'],
    );
    rules.present = { ...rule, historySize: 0 };
    const last = await publish(engine, 'a', '5');
    assert.deepEqual(last, { epoch: first.epoch, offset: 5 });
    assert.equal((await engine.history('a', { ...all, since: first })).complete, false);
  });
});

/** What a stream is, in the simplest way: all that was ever published, each with its time. */
class Model {
  epoch: string | null = null;
  readonly sent: { payload: string; time: number }[] = [];
  /** offsets up to this one were removed or are over the size */
  gone = 0;

  kept(now: number, { historyTtlMs }: HistoryRule): { offset: number; payload: string }[] {
    return this.sent
      .map(({ payload, time }, index) => ({ payload, time, offset: index + 1 }))
      .filter(({ offset, time }) => offset > this.gone && time > now - historyTtlMs)
      .map(({ payload, offset }) => ({ payload, offset }));
  }
}

const channel = fc.constantFrom('a', 'b', 'ns:c');
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('publish' as const), channel, payload: fc.string() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retry' as const), channel }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('read' as const), channel, back: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), channel }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 2 * minute }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('crash' as const, 'restart' as const) }) },
);

describe('EmbeddedEngine against a model', () => {
  const small: HistoryRule = { historySize: 5, historyTtlMs: 3 * minute, historyMetaTtlMs: 10_000 * minute };

  it('agrees on every read, across crashes and restarts', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
        const rig = fileRig(t, small);
        const models = new Map<string, Model>();
        const modelOf = (name: string) => {
          const model = models.get(name) ?? new Model();
          models.set(name, model);
          return model;
        };
        let now = 0;
        let last: ReturnType<typeof append> | null = null;
        for (const step of actions) {
          if (step.kind === 'publish') {
            last = append(step.channel, step.payload);
            const [result] = await rig.engine.publish([last]);
            const model = modelOf(step.channel);
            model.sent.push({ payload: last.payload.toString('latin1'), time: now });
            model.gone = Math.max(model.gone, model.sent.length - small.historySize);
            model.epoch ??= result?.position?.epoch ?? null;
            assert.deepEqual(result, {
              position: { epoch: model.epoch, offset: model.sent.length },
              duplicate: null,
            });
          } else if (step.kind === 'retry' && last) {
            assert.equal((await rig.engine.publish([last]))[0]?.duplicate, 'retry');
          } else if (step.kind === 'read') {
            const model = modelOf(step.channel);
            const offset = model.sent.length - step.back;
            const { epoch } = model;
            const page = await rig.engine.history(step.channel, {
              ...all,
              since: epoch === null ? null : { epoch, offset },
            });
            model.epoch ??= page.top.epoch;
            const kept = model.kept(now, small);
            const missed = kept.filter((entry) => entry.offset > offset);
            const isComplete = epoch === null || (offset >= 0 && missed.length === step.back);
            assert.deepEqual(page.top, { epoch: model.epoch, offset: model.sent.length });
            assert.equal(page.complete, isComplete);
            assert.deepEqual(
              page.messages.map(({ payload, offset: at }) => ({ payload, offset: at })),
              isComplete ? (epoch === null ? kept : missed) : [],
            );
          } else if (step.kind === 'remove') {
            const model = modelOf(step.channel);
            const top = await rig.engine.remove(step.channel);
            model.epoch ??= top.epoch;
            model.gone = model.sent.length;
          } else if (step.kind === 'wait') {
            now += step.ms;
            await rig.advance(step.ms);
          } else if (step.kind === 'crash' || step.kind === 'restart') {
            await rig[step.kind]();
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});
