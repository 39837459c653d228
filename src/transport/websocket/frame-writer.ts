/**
 * WebSocket frames from server to client (RFC 6455 section 5.2): final and unmasked, so that the same bytes serve
 * every subscriber.
 */
import type { Framing, MessageFraming, MessageParts } from '../../protocol/protocol.ts';

const finalText = 0x81;

/** A ping without payload. */
export const pingFrame = Buffer.from([0x89, 0x00]);

/** Returns the pong for a ping with these bytes, at most 125 (RFC 6455 section 5.5). */
export function pongFrame(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x8a, data.length]), data]);
}

/** Most bytes of the reason in a close frame (RFC 6455 section 5.5). */
const maxReasonBytes = 123;

/**
 * Returns the payload of a close frame.
 * @throws {RangeError} the reason has more than 123 bytes
 */
export function closeBody(code: number, reason: string): Buffer {
  const body = Buffer.from(`..${reason}`);
  if (body.length > 2 + maxReasonBytes) throw new RangeError('the reason of a close has more than 123 bytes');
  body.writeUInt16BE(code);
  return body;
}

/** Returns a close frame. @param body see `closeBody`; empty: without a code */
export function closeFrame(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x88, body.length]), body]);
}

function headerBytes(payloadBytes: number): number {
  return payloadBytes < 126 ? 2 : payloadBytes < 65536 ? 4 : 10;
}

/** Writes the header of a text message. Returns the offset after it. */
function writeHeader(target: Buffer, offset: number, payloadBytes: number): number {
  target[offset] = finalText;
  if (payloadBytes < 126) {
    target[offset + 1] = payloadBytes;
    return offset + 2;
  }
  if (payloadBytes < 65536) {
    target[offset + 1] = 126;
    return target.writeUInt16BE(payloadBytes, offset + 2);
  }
  target[offset + 1] = 127;
  target.writeUInt32BE(Math.floor(payloadBytes / 2 ** 32), offset + 2);
  return target.writeUInt32BE(payloadBytes >>> 0, offset + 6);
}

/** Frames all messages into one buffer, in order. Payloads are UTF-8. */
export function frameTexts(messages: readonly { readonly payload: Buffer }[]): Buffer {
  let bytes = 0;
  for (const { payload } of messages) bytes += headerBytes(payload.length) + payload.length;
  const frames = Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (const { payload } of messages) {
    offset = writeHeader(frames, offset, payload.length);
    offset += payload.copy(frames, offset);
  }
  return frames;
}

/** Frames one text message. */
export function frameText(text: string): Buffer {
  const payloadBytes = Buffer.byteLength(text);
  const header = headerBytes(payloadBytes);
  const frame = Buffer.allocUnsafe(header + payloadBytes);
  writeHeader(frame, 0, payloadBytes);
  frame.write(text, header);
  return frame;
}

/** Frames every message as text. */
export const textFraming: Framing = { frame: frameText, frameAll: frameTexts };

const finalBinary = 0x82;
const newline = 0x0a;

/** Messages as lines of text messages. */
export const textLines: MessageFraming = {
  frame: (messages) => frameShared(messages, finalText, 1),
};

/** Messages that say where they end, in binary messages. */
export const binaryMessages: MessageFraming = {
  frame: (messages) => frameShared(messages, finalBinary, 0),
};

/**
 * Bytes at which the next message begins another frame. Some clients refuse frames of more than 1 MiB, and a frame is
 * parsed only when all of it has arrived.
 */
const sharedBytes = 32 * 1024;

/** @param separatorBytes 1: a newline stands between two messages of a frame */
function frameShared(messages: readonly MessageParts[], firstByte: number, separatorBytes: 0 | 1): Buffer {
  const sizes = messages.map((parts) => parts.reduce((sum, { length }) => sum + length, 0));
  /** payload bytes of each frame */
  const frames: number[] = [];
  let total = 0;
  for (const size of sizes) {
    const last = frames.length - 1;
    const before = frames[last];
    if (before === undefined || before >= sharedBytes) frames.push(size);
    else frames[last] = before + separatorBytes + size;
  }
  for (const bytes of frames) total += headerBytes(bytes) + bytes;
  const buffer = Buffer.allocUnsafe(total);
  let offset = 0;
  let next = 0;
  for (const bytes of frames) {
    const start = offset;
    offset = writeHeader(buffer, offset, bytes);
    buffer[start] = firstByte;
    const end = offset + bytes;
    for (let isFirst = true; offset < end; isFirst = false) {
      if (!isFirst && separatorBytes === 1) buffer[offset++] = newline;
      for (const part of messages[next] ?? []) offset += part.copy(buffer, offset);
      next += 1;
    }
  }
  return buffer;
}
