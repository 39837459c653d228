import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Publication } from '../../../src/channel/publication.ts';
import { FrameDecoder, FrameError, type FrameReceiver } from '../../../src/relay/mesh/frame-decoder.ts';
import { FrameEncoder } from '../../../src/relay/mesh/frame-encoder.ts';
import { readTraceContext, writeTraceContext } from '../../../src/tracing/trace-context.ts';

interface Received {
  channelId: number;
  payload: string;
  handedAt: number;
  readAt: number;
  trace: Buffer | null;
}

const ids = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', flags: 1 };

/** A decoder after the hello frame, and its output. */
function listening(): { decoder: FrameDecoder<null>; got: Received[] } {
  const got: Received[] = [];
  const receiver: Pick<FrameReceiver<null>, 'hello' | 'publication'> = {
    hello: () => undefined,
    publication: (_source, channelId, { payload, readAt, traced }, handedAt) => {
      got.push({
        channelId,
        payload: payload.toString(),
        handedAt,
        readAt,
        trace: traced?.traceContext ?? null,
      });
    },
  };
  const decoder = new FrameDecoder<null>(null, receiver as FrameReceiver<null>);
  const hello = new FrameEncoder();
  hello.json('hello', {});
  decoder.push(hello.take());
  return { decoder, got };
}

test('a publication frame has the time of its handover and the age of the publication', () => {
  const { decoder, got } = listening();
  const encoder = new FrameEncoder();
  encoder.publish(7, new Publication(Buffer.from('{"a":1}'), 'ws', null, 1234566.75), 1234567);
  decoder.push(encoder.take());
  assert.deepEqual(got, [
    { channelId: 7, payload: '{"a":1}', handedAt: 1234567, readAt: 1234566.75, trace: null },
  ]);
  assert.equal(encoder.frames, 1);
  assert.equal(decoder.frames, 2);
});

test('a traced publication keeps its trace context in chunks cut at any byte', () => {
  const encoder = new FrameEncoder();
  const traced = new Publication(Buffer.from('"x"'), 'ws', null, 1);
  traced.trace(writeTraceContext(ids));
  encoder.publish(7, traced, 1);
  encoder.publish(8, new Publication(Buffer.from('"y"'), 'ws', null, 2), 2);
  const bytes = Buffer.from(encoder.take());
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { decoder, got } = listening();
    decoder.push(bytes.subarray(0, cut));
    decoder.push(bytes.subarray(cut));
    assert.deepEqual(
      got.map(({ channelId, payload }) => [channelId, payload]),
      [
        [7, '"x"'],
        [8, '"y"'],
      ],
    );
    assert.deepEqual(readTraceContext(got[0]?.trace ?? Buffer.alloc(0)), ids);
    assert.equal(got[1]?.trace, null);
  }
});

test('a publication frame shorter than its head closes the link', () => {
  const { decoder } = listening();
  const encoder = new FrameEncoder();
  encoder.publish(7, new Publication(Buffer.alloc(0), 'ws', null, 1), 1);
  const bytes = Buffer.from(encoder.take());
  bytes.writeUInt32BE(bytes.length - 5, 0);
  assert.throws(() => {
    decoder.push(bytes.subarray(0, -1));
  }, FrameError);
});

test('a trace context of another version or without ids is rejected', () => {
  const good = writeTraceContext(ids);
  assert.deepEqual(readTraceContext(good), ids);
  const other = Buffer.from(good);
  other[0] = 1;
  assert.equal(readTraceContext(other), 'version');
  const noTrace = Buffer.from(good).fill(0, 1, 17);
  assert.equal(readTraceContext(noTrace), 'decode');
  const noSpan = Buffer.from(good).fill(0, 17, 25);
  assert.equal(readTraceContext(noSpan), 'decode');
  assert.equal(readTraceContext(good.subarray(1)), 'decode');
});
