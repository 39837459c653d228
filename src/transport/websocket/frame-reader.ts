/**
 * Reads whole frames of a client (RFC 6455 section 5.2), which are nearly all frames: final, masked, valid, and
 * complete in one chunk. Each payload is unmasked into its own buffer. All other bytes are left to ws: fragments,
 * frames that a chunk cuts off, and protocol violations. The reader follows them, to know where the next frame begins
 * and how many bytes ws keeps.
 */
import { isUtf8 } from 'node:buffer';

/** Called with the payloads of frames. */
export interface FrameReceiver {
  message(payload: Buffer, isBinary: boolean): void;
  ping(payload: Buffer): void;
  pong(payload: Buffer): void;
  /**
   * A close frame.
   * @param body its code, two bytes, and its reason; empty: it has no code
   */
  peerClosed(body: Buffer): void;
}

/** bit of the first byte: the frame is the last of its message */
const fin = 0x80;
const opcodeBits = 0x0f;
/** first bytes of final frames */
const finalText = fin | 0x01;
const finalBinary = fin | 0x02;
const finalClose = fin | 0x08;
const finalPing = fin | 0x09;
const finalPong = fin | 0x0a;
/** longest payload of a control frame, in bytes (section 5.5) */
const maxControlBytes = 125;
/** lowest opcode of control frames, which may arrive between the fragments of a message */
const firstControl = 0x08;
/** bit of the second byte */
const masked = 0x80;
const maskBytes = 4;
const maxHeaderBytes = 10 + maskBytes;

export class FrameReader {
  /** missing bytes of an incomplete frame that was passed to ws */
  #missing = 0;
  /** the start of such a frame, if its header is incomplete; null: none */
  #cut: Buffer | null = null;
  /** ws has received some fragments of a message and not the last one */
  #fragmented = false;
  /**
   * Bytes of the chunks that contain parts of an incomplete message: ws keeps views of them, so the whole chunks stay
   * in memory.
   */
  heldBytes = 0;

  /**
   * Passes the whole frames at the start of the bytes to the receiver.
   * @param length number of valid bytes
   * @param maxPayload longer messages are left to ws, which refuses them; in bytes
   * @param maxFrames stops after this number of frames
   * @returns offset of the first byte that is left to ws, or where it stopped; `length`: nothing is left. Nothing is
   *   left after a close frame.
   */
  readWhole(
    bytes: Buffer,
    length: number,
    maxPayload: number,
    receiver: FrameReceiver,
    maxFrames = Infinity,
  ): number {
    if (!this.#isBetweenMessages) return 0;
    let at = 0;
    for (let left = maxFrames; left > 0 && at < length; left -= 1) {
      const first = bytes[at] ?? 0;
      if (!isWhole(first) || ((bytes[at + 1] ?? 0) & masked) === 0) break;
      const header = headerBytes(bytes, at);
      const start = at + header;
      const end = header === 0 ? Infinity : start + payloadBytes(bytes, at);
      if (end > length || end - start > (first < finalClose ? maxPayload : maxControlBytes)) break;
      const payload = unmasked(bytes, start, end);
      if (first === finalText) {
        if (!isUtf8(payload)) break;
        receiver.message(payload, false);
      } else if (first === finalBinary) {
        receiver.message(payload, true);
      } else if (first === finalPing) {
        receiver.ping(payload);
      } else if (first === finalPong) {
        receiver.pong(payload);
      } else {
        if (!isCloseBody(payload)) break;
        receiver.peerClosed(payload);
        return length;
      }
      at = end;
    }
    return at;
  }

  /**
   * Follows the frames of a chunk for ws.
   * @param maxFrames stops after this number of new frames
   * @returns where it stopped: only the bytes before this offset may be passed to ws; the length of the chunk: all of
   *   them
   */
  track(chunk: Buffer, maxFrames = Infinity): number {
    let at = this.#missing;
    if (this.#cut !== null) {
      const begun = this.#cut.length;
      at = this.#frame(Buffer.concat([this.#cut, chunk.subarray(0, maxHeaderBytes)]), 0) - begun;
    }
    for (let left = maxFrames; at < chunk.length && left > 0; left -= 1) at += this.#frame(chunk, at);
    this.#missing = this.#cut === null ? Math.max(0, at - chunk.length) : 0;
    if (this.#isBetweenMessages) this.heldBytes = 0;
    else this.heldBytes += chunk.buffer.byteLength;
    return Math.min(at, chunk.length);
  }

  /** @returns length of the frame at this offset; `Infinity`: its header is incomplete, and was kept */
  #frame(bytes: Buffer, at: number): number {
    if (!this.#fragmented) this.heldBytes = 0;
    const header = headerBytes(bytes, at);
    if (header === 0) {
      this.#cut = copyOf(bytes, at);
      return Infinity;
    }
    this.#cut = null;
    const first = bytes[at] ?? 0;
    if ((first & opcodeBits) < firstControl) this.#fragmented = (first & fin) === 0;
    return header + payloadBytes(bytes, at);
  }

  get #isBetweenMessages(): boolean {
    return this.#missing === 0 && this.#cut === null && !this.#fragmented;
  }
}

/** Returns whether the first byte of a frame is that of a frame without fragments and extensions. */
function isWhole(first: number): boolean {
  return first === finalText || first === finalBinary || (first >= finalClose && first <= finalPong);
}

/** Returns whether the payload of a close frame is empty, or has a valid code and reason (sections 5.5.1 and 7.4). */
function isCloseBody(payload: Buffer): boolean {
  if (payload.length === 0) return true;
  if (payload.length === 1) return false;
  const code = payload.readUInt16BE(0);
  const isKnown = code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
  return (isKnown || (code >= 3000 && code <= 4999)) && isUtf8(payload.subarray(2));
}

/** Copies into separate memory: a small buffer would keep the pool of Node in memory. */
export function copyOf(bytes: Buffer, from: number, to: number = bytes.length): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}

/** Returns the length of the header, including the mask; 0: it is incomplete. */
function headerBytes(bytes: Buffer, at: number): number {
  const second = bytes[at + 1];
  if (second === undefined) return 0;
  const short = second & ~masked;
  const length = short < 126 ? 2 : short === 126 ? 4 : 10;
  const header = second === short ? length : length + maskBytes;
  return at + header > bytes.length ? 0 : header;
}

/** Returns the length of the payload. The header must be complete. */
function payloadBytes(bytes: Buffer, at: number): number {
  const short = (bytes[at + 1] ?? 0) & ~masked;
  if (short < 126) return short;
  if (short === 126) return bytes.readUInt16BE(at + 2);
  return bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
}

/** Returns an unmasked copy (RFC 6455 section 5.3). The mask precedes the payload. */
function unmasked(bytes: Buffer, start: number, end: number): Buffer {
  const payload = Buffer.allocUnsafe(end - start);
  const [a = 0, b = 0, c = 0, d = 0] = [
    bytes[start - 4],
    bytes[start - 3],
    bytes[start - 2],
    bytes[start - 1],
  ];
  let at = start;
  let to = 0;
  for (; at + 3 < end; at += maskBytes, to += maskBytes) {
    payload[to] = (bytes[at] ?? 0) ^ a;
    payload[to + 1] = (bytes[at + 1] ?? 0) ^ b;
    payload[to + 2] = (bytes[at + 2] ?? 0) ^ c;
    payload[to + 3] = (bytes[at + 3] ?? 0) ^ d;
  }
  if (at < end) payload[to] = (bytes[at] ?? 0) ^ a;
  if (at + 1 < end) payload[to + 1] = (bytes[at + 1] ?? 0) ^ b;
  if (at + 2 < end) payload[to + 2] = (bytes[at + 2] ?? 0) ^ c;
  return payload;
}
