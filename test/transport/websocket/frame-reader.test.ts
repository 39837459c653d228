/** Client-to-server frames, whole and cut anywhere: read in front of ws they give what ws alone makes of them. */
import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import * as ws from 'ws';
import { FrameReader, type TextReceiver } from '../../../src/transport/websocket/frame-reader.ts';
import { clientFrame } from '../../client-frame.ts';

const maxPayload = 70_000;
/** ws exports it; its types do not. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 31);

function bytes(minLength: number, maxLength: number): Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength, size: 'max' }).map((values) => Buffer.from(values));
}

/** A frame with a mask of its own. */
function framed(first: number, payload: Arbitrary<Buffer>): Arbitrary<Buffer> {
  return fc.tuple(payload, bytes(4, 4)).map(([data, mask]) => clientFrame(first, data, mask));
}

/** Valid UTF-8 of about so many bytes at most. */
function text(maxLength: number): Arbitrary<Buffer> {
  const letters = fc.array(fc.constantFrom('ab', 'é', '🦊'), { maxLength: maxLength / 2, size: 'max' });
  return letters.map((parts) => Buffer.from(parts.join('')));
}

/** Around the bounds of the length's three forms. */
const boundaryText = fc
  .constantFrom(0, 1, 124, 125, 126, 127, 300, 65_534, 65_535, 65_536)
  .map((length) => Buffer.from('é'.repeat(length / 2) + 'x'.repeat(length % 2)));

const textFrame = framed(
  0x81,
  fc.oneof({ weight: 19, arbitrary: text(300) }, { weight: 1, arbitrary: boundaryText }),
);

const control = fc.oneof(framed(0x89, bytes(0, 125)), framed(0x8a, bytes(0, 125)));

const fragments = fc
  .tuple(
    fc.oneof(framed(0x01, text(50)), framed(0x02, text(50))),
    fc.array(fc.tuple(framed(0x00, text(50)), control), { maxLength: 2 }),
    framed(0x80, text(50)),
  )
  .map(([first, middle, last]) => Buffer.concat([first, ...middle.flat(), last]));

/** What ends a connection. */
const last = fc.oneof(
  framed(0x81, fc.constant(Buffer.from([0x22, 0xff, 0x22]))), // no UTF-8
  text(10).map((payload) => clientFrame(0x81, payload, null)), // not masked
  framed(0xc1, text(10)),
  framed(0x83, text(10)),
  framed(0x80, text(10)), // a continuation of nothing
  fc.tuple(framed(0x01, text(10)), framed(0x81, text(10))).map((both) => Buffer.concat(both)), // a message within a message
  framed(0x81, fc.constant(Buffer.alloc(maxPayload + 1, 'x'))),
  framed(0x09, fc.constant(Buffer.alloc(0))), // a control frame in fragments
  framed(0x88, fc.constant(Buffer.from([3, 232]))),
);

/** Text messages mostly; half of the streams have an end, behind which more comes. */
const stream = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: textFrame },
        { weight: 1, arbitrary: control },
        { weight: 1, arbitrary: fragments },
      ),
      { minLength: 1, maxLength: 12, size: 'max' },
    ),
    fc.option(fc.tuple(last, textFrame, textFrame), { freq: 1, nil: [] }),
  )
  .map(([frames, end]) => Buffer.concat([...frames, ...end]));

/** The stream in chunks: whole, in few, or byte by byte. */
const chunked = fc
  .tuple(
    stream,
    fc.constantFrom(Infinity, 1, 3, 20, 200, 20_000),
    fc.array(fc.nat(20_000), { minLength: 1, maxLength: 20, size: 'max' }),
  )
  .map(([whole, longest, sizes]) => cut(whole, longest, sizes));

function cut(whole: Buffer, longest: number, sizes: readonly number[]): Buffer[] {
  if (longest === Infinity) return [whole];
  const chunks: Buffer[] = [];
  for (let at = 0; at < whole.length;) {
    const size = (sizes[chunks.length % sizes.length] ?? 0) % longest;
    const end = at + (longest < 20 && whole.length > 5_000 ? 997 : 1 + size);
    chunks.push(whole.subarray(at, end));
    at = end;
  }
  return chunks;
}

/** Copies: what reads a chunk may write to it. */
function copiesOf(chunks: readonly Buffer[]): Buffer[] {
  return chunks.map((chunk) => Buffer.from(chunk));
}

function frame(first: number, payload: Buffer): Buffer {
  return clientFrame(first, payload, Buffer.from([0x12, 0x34, 0x56, 0x78]));
}

const ping = frame(0x89, Buffer.from('?'));

/** ws has ended it: later input is ignored. */
function over(events: readonly string[]): boolean {
  return /^(end|error)/.test(events.at(-1) ?? '');
}

const stale = frame(0x81, Buffer.from('stale'));

/** The buffer still contains earlier input after the current one; here it looks like a message. */
function read(reader: FrameReader, chunk: Buffer, plain: TextReceiver): number {
  return reader.readPlain(Buffer.concat([chunk, stale]), chunk.length, maxPayload, plain);
}

/** Returns the events for the chunks, in order, until ws ends it. */
async function outcome(chunks: readonly Buffer[], reader: FrameReader | null): Promise<string[]> {
  const events: string[] = [];
  const say = (event: string) => {
    if (!over(events)) events.push(event);
  };
  const receiver = new Receiver({ isServer: true, maxPayload });
  receiver.on('message', (data: Buffer, isBinary: boolean) => {
    say(`${isBinary ? 'binary' : 'text'} ${data.toString()}`);
  });
  receiver.on('ping', (data: Buffer) => {
    say(`ping ${data.toString('hex')}`);
  });
  receiver.on('pong', (data: Buffer) => {
    say(`pong ${data.toString('hex')}`);
  });
  receiver.on('conclude', (code: number) => {
    say(`end ${code}`);
  });
  receiver.on('error', ({ message }) => {
    say(`error ${message}`);
  });
  const plain = {
    text: (payload: Buffer) => {
      say(`text ${payload.toString()}`);
    },
  };
  for (const chunk of chunks) {
    if (over(events)) break;
    const at = reader ? read(reader, chunk, plain) : 0;
    if (at < chunk.length) {
      const rest = chunk.subarray(at);
      reader?.track(rest);
      receiver.write(rest);
    }
    await new Promise(setImmediate);
  }
  return events;
}

describe(`the frame reader in front of ws (TEST_SEED=${seed})`, () => {
  it('returns the same messages as ws alone, for 500 streams', async () => {
    let messages = 0;
    const property = fc.asyncProperty(fc.noBias(chunked), async (chunks) => {
      const expected = await outcome(copiesOf(chunks), null);
      assert.deepEqual(await outcome(copiesOf(chunks), new FrameReader()), expected);
      messages += expected.filter((event) => event.startsWith('text')).length;
    });
    await fc.assert(property, { seed, numRuns: 500 });
    assert.ok(messages > 1_000, `only ${messages} messages`);
  });

  it('reads plain messages, also after frames that are left to ws', () => {
    const reader = new FrameReader();
    const heard: string[] = [];
    const plain = { text: (payload: Buffer) => void heard.push(payload.toString()) };
    const said = (words: string) => frame(0x81, Buffer.from(words));
    const hear = (...frames: Buffer[]) => {
      const chunk = Buffer.concat(frames);
      const at = read(reader, chunk, plain);
      if (at < chunk.length) reader.track(chunk.subarray(at));
      return chunk.length - at;
    };
    assert.equal(hear(said('one'), said('two')), 0);
    assert.equal(hear(said('three'), ping, said('for ws, which has the order')) > 0, true);
    assert.equal(hear(said('four')), 0);
    const whole = said('cut in its header');
    assert.deepEqual([hear(whole.subarray(0, 3)), hear(whole.subarray(3))], [3, whole.length - 3]);
    assert.equal(hear(said('five')), 0);
    hear(frame(0x01, Buffer.from('a message ')));
    assert.equal(hear(ping) > 0, true);
    assert.equal(hear(frame(0x80, Buffer.from('in fragments'))) > 0, true);
    assert.equal(hear(said('six')), 0);
    assert.deepEqual(heard, ['one', 'two', 'three', 'four', 'five', 'six']);
  });

  it('reads no message out of bytes that only look like one', () => {
    const heard: string[] = [];
    const plain = { text: (payload: Buffer) => void heard.push(payload.toString()) };
    const looksLike = frame(0x81, Buffer.from('no message'));
    const inside = clientFrame(0x82, looksLike); // a mask of zeros
    const cases = {
      'in the payload of another': [inside.subarray(0, 6), inside.subarray(6)],
      'in a header': [Buffer.from([0x81]), Buffer.from([0x81, 0x80, 0, 0, 0, 0x78])],
      'between the fragments of another': [
        frame(0x01, Buffer.from('"')),
        frame(0x81, Buffer.from('no message')),
      ],
    };
    for (const [where, [first, second]] of Object.entries(cases)) {
      const reader = new FrameReader();
      assert.ok(first && second);
      assert.equal(read(reader, first, plain), 0, where);
      reader.track(first);
      assert.equal(read(reader, second, plain), 0, where);
    }
    assert.deepEqual(heard, []);
  });

  it('passes all other bytes to ws unchanged', () => {
    const nothing = { text: () => assert.fail('it is taken') };
    for (const bytes of [
      frame(0x81, Buffer.from([0x22, 0xff, 0x22])),
      frame(0x81, Buffer.alloc(maxPayload + 1, 'x')),
      ping,
    ]) {
      const chunk = Buffer.from(bytes);
      assert.equal(new FrameReader().readPlain(chunk, chunk.length, maxPayload, nothing), 0);
      assert.deepEqual(chunk, bytes);
    }
  });
});
