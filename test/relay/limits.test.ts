/** What does not fit into one frame of a link is refused by its sender; the link and all other messages stay. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Publication } from '../../src/channel/publication.ts';
import { connectApart, startHub, type Client, type HubProcess } from '../support.ts';
import { FrameDecoder, type FrameReceiver } from '../../src/relay/mesh/frame-decoder.ts';
import { FrameEncoder } from '../../src/relay/mesh/frame-encoder.ts';
import { maxFrameBytes, maxPublicationBytes } from '../../src/relay/mesh/frame.ts';
import { writeTraceContext } from '../../src/tracing/trace-context.ts';

/** more than a frame takes, in one value */
const tooMany = 18 * 1024 * 1024;

describe('the largest frame', () => {
  it('of the encoder is accepted by the decoder', () => {
    const encoder = new FrameEncoder();
    encoder.json('hello', 1);
    const trace = writeTraceContext({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), flags: 1 });
    const publication = new Publication(Buffer.alloc(maxPublicationBytes), 'ws');
    publication.trace(trace);
    encoder.publish(1, publication, 0);
    const largest = 'x'.repeat(maxFrameBytes - 6 - 2);
    encoder.json('call', largest);
    assert.throws(() => {
      encoder.json('call', `${largest}x`);
    }, /17 MiB/);
    let publications = 0;
    let calls = 0;
    const receiver: Partial<FrameReceiver<null>> = {
      hello: () => undefined,
      publication: () => (publications += 1),
      call: () => (calls += 1),
    };
    new FrameDecoder(null, receiver as FrameReceiver<null>).push(encoder.take());
    assert.deepEqual([publications, calls], [1, 1]);
  });
});

describe('a message above the limit of the links', () => {
  let hub: HubProcess;
  let author: Client;
  let reader: Client;
  let others: [Client, Client];
  before(async () => {
    hub = await startHub({
      env: {
        WSHUB_HANDLERS: join(import.meta.dirname, '../handlers/functions.ts'),
        WSHUB_MAX_PAYLOAD: String(5 * 1024 * 1024),
      },
    });
    [author, reader] = await connectApart(hub, 'large');
    others = await connectApart(hub, 'others');
  });
  after(() => hub.end());

  /** Has two others talk across the link while something is done, and asserts that none of it is lost. */
  async function amidOthers(act: () => Promise<void>): Promise<void> {
    const [from, to] = others;
    const before = Array.from({ length: 200 }, (_, n) => ({ before: n }));
    const later = Array.from({ length: 200 }, (_, n) => ({ later: n }));
    for (const message of before) from.send(message);
    const acting = act();
    for (const message of later) from.send(message);
    await acting;
    assert.deepEqual(await to.take(400), [...before, ...later]);
    const closed = hub.log.filter(({ msg }) => msg === 'link closed');
    assert.deepEqual(closed, []);
  }

  it('throws in the handler that publishes it', () =>
    amidOthers(async () => {
      author.send({ type: 'publishLarge', channel: 'large', bytes: tooMany });
      const { thrown } = (await author.next()) as { thrown: string };
      assert.match(thrown, /17 MiB/);
    }));

  it('is answered with message_too_big if a handler returns it', () =>
    amidOthers(async () => {
      author.ws.send(`{"type":"repeat","numbers":[${'1e20,'.repeat(1_000_000)}1]}`);
      const { error } = (await author.next()) as { error: { code: string; message: string } };
      assert.equal(error.code, 'message_too_big');
      assert.match(error.message, /17 MiB/);
    }));

  it('as the payload of a command is an error of the caller, and of each worker if the command is a broadcast', () =>
    amidOthers(async () => {
      author.send({ type: 'askLarge', workerId: reader.workerId, bytes: tooMany });
      const { all, one } = (await author.next()) as { all: Record<string, string>[]; one: string };
      assert.equal(all.length, 2);
      for (const { error, value } of all) {
        assert.equal(value, undefined);
        assert.match(error ?? '', /17 MiB/);
      }
      assert.match(one, /17 MiB/);
    }));

  it('as the result of a command is an error of the caller', () =>
    amidOthers(async () => {
      const ask = { type: 'ask', name: 'large', payload: tooMany, workerId: reader.workerId };
      author.send(ask);
      const { rejected } = (await author.next()) as { rejected: string };
      assert.match(rejected, /17 MiB/);
    }));

  it('is not delivered to any subscriber', async () => {
    author.send('end');
    assert.equal(await reader.next(), 'end');
  });
});
