/** Client-to-server frames, whole and cut anywhere: read in front of ws they give what ws alone makes of them. */
import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as ws from 'ws';
import { FrameReader, type FrameReceiver } from '../../../src/transport/websocket/frame-reader.ts';
import { clientFrame } from '../../client-frame.ts';
import { bigEndian, chunked, maxPayload, seed } from './client-streams.ts';

/** ws exports it; its types do not. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable };

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
function read(reader: FrameReader, chunk: Buffer, plain: FrameReceiver): number {
  return reader.readWhole(Buffer.concat([chunk, stale]), chunk.length, maxPayload, plain);
}

/** Collects what is read in `heard`. */
function hearing(heard: string[]): FrameReceiver {
  return {
    message: (payload) => void heard.push(payload.toString()),
    ping: (payload) => void heard.push(`ping ${payload.toString()}`),
    pong: (payload) => void heard.push(`pong ${payload.toString()}`),
    peerClosed: (body) => void heard.push(`close ${body.toString('hex')}`),
  };
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
  const plain: FrameReceiver = {
    message: (payload, isBinary) => {
      say(`${isBinary ? 'binary' : 'text'} ${payload.toString()}`);
    },
    ping: (payload) => {
      say(`ping ${payload.toString('hex')}`);
    },
    pong: (payload) => {
      say(`pong ${payload.toString('hex')}`);
    },
    peerClosed: (body) => {
      say(`end ${body.length === 0 ? 1005 : body.readUInt16BE(0)}`);
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

  it('reads whole frames, also after frames that are left to ws', () => {
    const reader = new FrameReader();
    const heard: string[] = [];
    const plain = hearing(heard);
    const said = (words: string) => frame(0x81, Buffer.from(words));
    const hear = (...frames: Buffer[]) => {
      const chunk = Buffer.concat(frames);
      const at = read(reader, chunk, plain);
      if (at < chunk.length) reader.track(chunk.subarray(at));
      return chunk.length - at;
    };
    assert.equal(hear(said('one'), said('two')), 0);
    assert.equal(hear(said('three'), frame(0x82, Buffer.from('four')), ping), 0);
    const whole = said('cut in its header');
    assert.deepEqual([hear(whole.subarray(0, 3)), hear(whole.subarray(3))], [3, whole.length - 3]);
    assert.equal(hear(said('five')), 0);
    hear(frame(0x01, Buffer.from('a message ')));
    assert.equal(hear(ping) > 0, true);
    assert.equal(hear(frame(0x80, Buffer.from('in fragments'))) > 0, true);
    assert.equal(hear(said('six')), 0);
    assert.deepEqual(heard, ['one', 'two', 'three', 'four', 'ping ?', 'five', 'six']);
  });

  it('reads no message out of bytes that only look like one', () => {
    const heard: string[] = [];
    const plain = hearing(heard);
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
    const taken = () => assert.fail('it is taken');
    const nothing = { message: taken, ping: taken, pong: taken, peerClosed: taken };
    for (const bytes of [
      frame(0x81, Buffer.from([0x22, 0xff, 0x22])),
      frame(0x81, Buffer.alloc(maxPayload + 1, 'x')),
      frame(0x82, Buffer.alloc(maxPayload + 1, 'x')),
      frame(0x01, Buffer.from('a fragment')),
      frame(0xc1, Buffer.from('compressed')),
      frame(0x83, Buffer.from('an unknown opcode')),
      clientFrame(0x81, Buffer.from('not masked'), null),
      ping.subarray(0, -1),
      frame(0x89, Buffer.alloc(126)),
      frame(0x88, Buffer.from([3])),
      ...[999, 1004, 1005, 1006, 1015, 2999, 5000].map((code) => frame(0x88, bigEndian(code))),
      frame(0x88, Buffer.concat([bigEndian(1000), Buffer.from([0xff])])),
    ]) {
      const chunk = Buffer.from(bytes);
      assert.equal(new FrameReader().readWhole(chunk, chunk.length, maxPayload, nothing), 0);
      assert.deepEqual(chunk, bytes);
    }
  });
});
