/** Server-to-client frames, read back by a parser written from RFC 6455 section 5.2 alone. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { frameText, frameTexts } from '../../../src/transport/websocket/frame-writer.ts';

function read(bytes: Buffer): string[] {
  const messages: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    assert.equal(bytes[at], 0x81, 'a final text frame');
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
