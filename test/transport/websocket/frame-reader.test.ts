/** Client-to-server frames, whole and cut anywhere: read in front of ws they give what ws alone makes of them. */
import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import * as ws from 'ws';
import { FrameReader, type TextReceiver } from '../../../src/transport/websocket/frame-reader.ts';
import { clientFrame } from '../../client-frame.ts';
import { randomFrom } from '../../support.ts';

const maxPayload = 70_000;
/** ws exports it; its types do not. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 32);
const random = randomFrom(seed);

function randomBytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

/** Masked at random, or not at all. */
function frame(first: number, payload: Buffer, masked = true): Buffer {
  return clientFrame(first, payload, masked ? randomBytes(4) : null);
}

/** Valid UTF-8 of about so many bytes. */
function text(length: number): Buffer {
  return Buffer.from(Array.from({ length: length / 2 }, () => ['ab', 'é', '🦊'][random(3)]).join(''));
}

const lengths = [0, 1, 124, 125, 126, 127, 300, 65_534, 65_536];

function textFrame(): Buffer {
  return frame(0x81, text(random(20) > 0 ? random(300) : (lengths[random(lengths.length)] ?? 0)));
}

function fragments(): Buffer {
  const middle = [...Array(random(3)).keys()].flatMap(() => [frame(0x00, text(random(50))), control()]);
  return Buffer.concat([frame(0x01 + random(2), text(random(50))), ...middle, frame(0x80, text(random(50)))]);
}

function control(): Buffer {
  return frame(0x89 + random(2), randomBytes(random(126)));
}

/** What ends a connection. */
const last = [
  () => frame(0x81, Buffer.from([0x22, 0xff, 0x22])), // no UTF-8
  () => frame(0x81, text(10), false),
  () => frame(0xc1, text(10)),
  () => frame(0x83, text(10)),
  () => frame(0x80, text(10)), // a continuation of nothing
  () => Buffer.concat([frame(0x01, text(10)), frame(0x81, text(10))]), // a message within a message
  () => frame(0x81, Buffer.alloc(maxPayload + 1, 'x')),
  () => frame(0x09, Buffer.alloc(0)), // a control frame in fragments
  () => frame(0x88, Buffer.from([3, 232])),
];

/** Text messages mostly; a quarter of the streams goes on after its end. */
function stream(): Buffer {
  const others = [textFrame, textFrame, textFrame, textFrame, control, fragments];
  const frames = Array.from(
    { length: 1 + random(12) },
    () => others[random(others.length)]?.() ?? textFrame(),
  );
  if (random(2) === 0) frames.push(last[random(last.length)]?.() ?? control(), textFrame(), textFrame());
  return Buffer.concat(frames);
}

/** The stream in chunks: whole, in few, or byte by byte; each a copy. */
function cut(bytes: Buffer): Buffer[] {
  const longest = [Infinity, 1, 3, 20, 200, 20_000][random(6)] ?? 1;
  if (longest === Infinity) return [bytes];
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + (longest < 20 && bytes.length > 5_000 ? 997 : 1 + random(longest));
    chunks.push(Buffer.from(bytes.subarray(at, end)));
    at = end;
  }
  return chunks;
}

/** ws has ended it: what comes then is heard by nobody. */
function over(events: readonly string[]): boolean {
  return /^(end|error)/.test(events.at(-1) ?? '');
}

const stale = frame(0x81, Buffer.from('stale'));

/** Behind what has come lies what was read before; here it looks like a message. */
function read(reader: FrameReader, chunk: Buffer, plain: TextReceiver): number {
  return reader.readPlain(Buffer.concat([chunk, stale]), chunk.length, maxPayload, plain);
}

/** What comes of the chunks, in order, until ws ends it. */
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
  it('gives what ws alone gives, for 500 streams', async () => {
    let messages = 0;
    for (let count = 0; count < 500; count += 1) {
      const chunks = cut(stream());
      const copies = chunks.map((chunk) => Buffer.from(chunk));
      const expected = await outcome(chunks, null);
      assert.deepEqual(await outcome(copies, new FrameReader()), expected, `stream ${count}`);
      messages += expected.filter((event) => event.startsWith('text')).length;
    }
    assert.ok(messages > 1_000, `only ${messages} messages`);
  });

  it('reads whole messages by itself, and those that follow what is not', () => {
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
    assert.equal(hear(said('three'), control(), said('for ws, which has the order')) > 0, true);
    assert.equal(hear(said('four')), 0);
    const whole = said('cut in its header');
    assert.deepEqual([hear(whole.subarray(0, 3)), hear(whole.subarray(3))], [3, whole.length - 3]);
    assert.equal(hear(said('five')), 0);
    hear(frame(0x01, Buffer.from('a message ')));
    assert.equal(hear(control()) > 0, true);
    assert.equal(hear(frame(0x80, Buffer.from('in fragments'))) > 0, true);
    assert.equal(hear(said('six')), 0);
    assert.deepEqual(heard, ['one', 'two', 'three', 'four', 'five', 'six']);
  });

  it('takes nothing for a message that only looks like one', () => {
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

  it('leaves to ws as it came what it does not take', () => {
    const nothing = { text: () => assert.fail('it is taken') };
    for (const bytes of [
      frame(0x81, Buffer.from([0x22, 0xff, 0x22])),
      frame(0x81, Buffer.alloc(maxPayload + 1, 'x')),
      control(),
    ]) {
      const chunk = Buffer.from(bytes);
      assert.equal(new FrameReader().readPlain(chunk, chunk.length, maxPayload, nothing), 0);
      assert.deepEqual(chunk, bytes);
    }
  });
});
