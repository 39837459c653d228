/** Server-to-client frames, read back by a parser written from RFC 6455 section 5.2 alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  binaryMessages,
  frameText,
  frameTexts,
  textLines,
} from '../../../src/transport/websocket/frame-writer.ts';

function read(bytes: Buffer, firstByte = 0x81): string[] {
  const messages: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    assert.equal(bytes[at], firstByte, 'a final frame');
    let length = bytes.readUInt8(at + 1); // the mask bit would make it larger than 127
    at += 2;
    if (length === 126) {
      length = bytes.readUInt16BE(at);
      assert.ok(length > 125, 'the shortest form');
      at += 2;
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at));
      assert.ok(length > 65_535, 'the shortest form');
      at += 8;
    } else assert.ok(length < 126);
    messages.push(bytes.toString('utf8', at, at + length));
    at += length;
  }
  assert.equal(at, bytes.length);
  return messages;
}

describe('text frames', () => {
  it('use the shortest of the three header lengths', () => {
    const texts = [0, 1, 125, 126, 65_535, 65_536, 100_000].map((length) => 'x'.repeat(length));
    assert.deepEqual(read(frameTexts(texts.map((text) => ({ payload: Buffer.from(text) })))), texts);
    for (const text of texts) assert.deepEqual(read(frameText(text)), [text]);
  });

  it('count bytes, not characters', () => {
    const text = 'é🦊'.repeat(40);
    assert.deepEqual(read(frameText(text)), [text]);
  });
});

describe('messages that share frames', () => {
  const parts = (...texts: string[]) => texts.map((text) => Buffer.from(text));

  it('are lines, in the order in which they came', () => {
    assert.deepEqual(read(textLines.frame([parts('{"a":', '1}'), parts('{}'), parts('x')])), [
      '{"a":1}\n{}\nx',
    ]);
    assert.deepEqual(read(binaryMessages.frame([parts('a', 'b'), parts('c')]), 0x82), ['abc']);
  });

  it('begin another frame after 32 KiB, so that no client meets its own limit', () => {
    const line = 'x'.repeat(10_000);
    const messages = Array.from({ length: 100 }, () => parts(line.slice(0, 5_000), line.slice(5_000)));
    for (const [framing, separator, firstByte] of [
      [textLines, '\n', 0x81],
      [binaryMessages, '', 0x82],
    ] as const) {
      const frames = read(framing.frame(messages), firstByte);
      assert.equal(frames.length, 25);
      for (const frame of frames) assert.equal(frame, Array<string>(4).fill(line).join(separator));
    }
    const large = 'x'.repeat(100_000);
    assert.deepEqual(read(textLines.frame([parts(large), parts('{}')])), [large, '{}']);
  });
});
