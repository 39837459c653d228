/** Encoder and decoder of link frames: round trips for any split into chunks; invalid frames are refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Publication } from '../../../src/channel/publication.ts';
import { FrameDecoder, FrameError, type FrameReceiver } from '../../../src/relay/mesh/frame-decoder.ts';
import { FrameEncoder } from '../../../src/relay/mesh/frame-encoder.ts';
import { linkVersion } from '../../../src/relay/mesh/frame.ts';

type Call = [name: string, ...values: unknown[]];

/** Records every frame, with copies of buffers that are only views. */
function recorder(): { calls: Call[]; receiver: FrameReceiver<null> } {
  const calls: Call[] = [];
  const record =
    (name: string) =>
    (_source: null, ...values: unknown[]) =>
      calls.push([name, ...values.flatMap(shown)]);
  const names = ['hello', 'begin', 'add', 'drop', 'sync', 'ack', 'publication', 'connections', 'members'];
  const more = [
    'call',
    'result',
    'leaving',
    'quiet',
    'named',
    'lost',
    'hold',
    'release',
    'alive',
    'probe',
    'echo',
  ];
  const receiver = Object.fromEntries([...names, ...more].map((name) => [name, record(name)]));
  return { calls, receiver: receiver as unknown as FrameReceiver<null> };
}

const id = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const frame = fc.oneof(
  fc.record({ kind: fc.constant('publish' as const), id, payload: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ kind: fc.constant('add' as const), id, name: fc.string({ unit: 'grapheme', minLength: 1 }) }),
  fc.record({
    kind: fc.constant('named' as const),
    name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
    payload: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({ kind: fc.constant('lost' as const), id, count: fc.nat() }),
  fc.record({ kind: fc.constantFrom('drop', 'sync', 'ack', 'hold', 'release', 'probe', 'echo'), id }),
  fc.record({ kind: fc.constantFrom('begin', 'leaving', 'quiet', 'alive') }),
  fc.record({ kind: fc.constantFrom('call' as const, 'result' as const), value: fc.jsonValue() }),
);
/** A publication as its payload, when it was read, and its trace. */
function shown(value: unknown): unknown[] {
  if (!(value instanceof Publication)) return [value];
  return [value.payload.toString('hex'), value.readAt, value.traced];
}

type Frame = typeof frame extends fc.Arbitrary<infer T> ? T : never;

function encode(encoder: FrameEncoder, sent: Frame): Call {
  switch (sent.kind) {
    case 'publish':
      encoder.publish(sent.id, new Publication(Buffer.from(sent.payload), 'ws', null, 7.25), 7.5);
      return ['publication', sent.id, Buffer.from(sent.payload).toString('hex'), 7.25, null, 7.5];
    case 'add':
      encoder.add(sent.id, sent.name);
      return ['add', sent.id, sent.name];
    case 'named':
      encoder.named(sent.name, new Publication(Buffer.from(sent.payload), 'ws', null, 7.25), 7.5);
      return ['named', sent.name, Buffer.from(sent.payload).toString('hex'), 7.25, null, 7.5];
    case 'lost':
      encoder.lost(sent.id, sent.count);
      return ['lost', sent.id, sent.count];
    case 'begin':
    case 'leaving':
    case 'quiet':
    case 'alive':
      encoder[sent.kind]();
      return [sent.kind];
    case 'call':
    case 'result':
      encoder.json(sent.kind, sent.value);
      return [sent.kind, JSON.parse(JSON.stringify(sent.value))];
    case 'drop':
    case 'sync':
    case 'ack':
    case 'hold':
    case 'release':
    case 'probe':
    case 'echo':
      encoder[sent.kind](sent.id);
      return [sent.kind, sent.id];
  }
}

describe('link frames', () => {
  it('are decoded as they were encoded, for any chunks', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 30 }), cuts, (frames, sizes) => {
        const encoder = new FrameEncoder();
        encoder.json('hello', 'first');
        const sent = frames.map((one) => encode(encoder, one));
        const bytes = encoder.take();
        const { calls, receiver } = recorder();
        const decoder = new FrameDecoder(null, receiver);
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const end = at + (sizes[turn % sizes.length] ?? 1);
          decoder.push(bytes.subarray(at, end));
          at = end;
        }
        assert.deepEqual(calls, [['hello', 'first'], ...sent]);
      }),
    );
  });

  it('carry counts of many channels', () => {
    const encoder = new FrameEncoder();
    encoder.json('hello', 1);
    encoder.counts(7, [
      [1, 2],
      [2 ** 40, 5],
    ]);
    const { calls, receiver } = recorder();
    new FrameDecoder(null, receiver).push(encoder.take());
    assert.deepEqual(calls.slice(1), [
      ['connections', 7],
      ['members', 1, 2],
      ['members', 2 ** 40, 5],
    ]);
  });

  it('reuse a buffer only after it was recycled', () => {
    const encoder = new FrameEncoder();
    encoder.sync(1);
    const first = encoder.take();
    const before = first.toString('hex');
    encoder.sync(2);
    encoder.take();
    assert.equal(first.toString('hex'), before);
    encoder.recycle(first);
    encoder.sync(3);
    assert.equal(encoder.take().buffer, first.buffer);
  });

  it('throw only FrameErrors for 10 000 random inputs', () => {
    const { receiver } = recorder();
    const head = new FrameEncoder();
    head.json('hello', 1);
    const hello = head.take();
    const body = fc.uint8Array({ maxLength: 60 });
    const plausible = fc.tuple(fc.integer({ min: 2, max: 19 }), body).map(([type, bytes]) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length + 2);
      return Buffer.concat([length, Buffer.from([linkVersion, type]), bytes]);
    });
    const input = fc.oneof(
      body.map((bytes) => Buffer.from(bytes)),
      fc.array(plausible).map((frames) => Buffer.concat(frames)),
    );
    fc.assert(
      fc.property(input, (bytes) => {
        const decoder = new FrameDecoder(null, receiver);
        decoder.push(hello);
        try {
          decoder.push(bytes);
        } catch (error) {
          assert.ok(error instanceof FrameError, String(error));
        }
      }),
      { numRuns: 10_000 },
    );
  });

  for (const [name, hex] of [
    ['another version', '00000002' + '0901'],
    ['an unknown type', '00000002' + '02ff'],
    ['a length below the head', '00000001' + '02'],
    ['a length beyond the limit', 'ffffffff' + '0207'],
    ['a hello without JSON', '00000003' + '0201' + '7b'],
    ['anything before the hello', '00000002' + '0202'],
  ] as const) {
    it(`are refused with ${name}`, () => {
      const decoder = new FrameDecoder(null, recorder().receiver);
      assert.throws(() => {
        decoder.push(Buffer.from(hex, 'hex'));
      }, FrameError);
    });
  }
});
