/**
 * What a client sends, as far as it is plain: whole messages of text in one frame each (RFC 6455 section 5.2), which is
 * nearly all that comes. They are handed out without their mask, each in a buffer of its own. Every other frame, what the
 * end of a chunk cuts, and what breaks the protocol is ws's; it is only followed, to know where the next frame begins and
 * what ws holds on to.
 */
import { isUtf8 } from 'node:buffer';

/** Takes messages of text. */
export interface TextReceiver {
  text(payload: Buffer): void;
}

/** first byte of a frame: its message ends with it */
const fin = 0x80;
const opcodeBits = 0x0f;
const finalText = fin | 0x01;
/** from here on frames are control frames, which may come between the fragments of a message */
const firstControl = 0x08;
/** second byte */
const masked = 0x80;
const maskBytes = 4;
const maxHeaderBytes = 10 + maskBytes;

export class FrameReader {
  /** bytes that are still to come of a frame that is ws's */
  #missing = 0;
  /** the beginning of such a frame, if it was cut within its header */
  #cut: Buffer | null = null;
  /** ws has only some fragments of a message */
  #fragmented = false;
  /** Bytes of the chunks with parts of a message that has not come whole: ws keeps views of them, so all of each. */
  heldBytes = 0;

  /**
   * Hands out the messages at the beginning of what came.
   * @param length bytes of it
   * @param maxPayload a longer message is left to ws, which refuses it; in bytes
   * @param maxMessages after so many it stops
   * @returns where that begins which is ws's and has to be followed, or where it stopped; `length`: nothing is left
   */
  readPlain(
    bytes: Buffer,
    length: number,
    maxPayload: number,
    receiver: TextReceiver,
    maxMessages = Infinity,
  ): number {
    if (!this.#isBetweenMessages) return 0;
    let at = 0;
    let left = maxMessages;
    while (left > 0 && at < length && bytes[at] === finalText && ((bytes[at + 1] ?? 0) & masked) !== 0) {
      const header = headerBytes(bytes, at);
      const start = at + header;
      const end = header === 0 ? Infinity : start + payloadBytes(bytes, at);
      if (end > length || end - start > maxPayload) break;
      const payload = unmasked(bytes, start, end);
      if (!isUtf8(payload)) break;
      receiver.text(payload);
      left -= 1;
      at = end;
    }
    return at;
  }

  /**
   * Follows what is given to ws.
   * @param maxFrames after so many that begin in it, it stops
   * @returns where it stopped: only what comes before may be given; the chunk's length: nothing is left
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

  /** @returns length of the frame that begins there; Infinity: its header is cut, and kept */
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

/** Of its own memory: a small one would else hold on to Node's pool. */
export function copyOf(bytes: Buffer, from: number, to: number = bytes.length): Buffer {
  const copy = Buffer.allocUnsafeSlow(to - from);
  bytes.copy(copy, 0, from, to);
  return copy;
}

/** Length of the header of the frame that begins there, with the mask; 0: it has not come whole. */
function headerBytes(bytes: Buffer, at: number): number {
  const second = bytes[at + 1];
  if (second === undefined) return 0;
  const short = second & ~masked;
  const length = short < 126 ? 2 : short === 126 ? 4 : 10;
  const header = second === short ? length : length + maskBytes;
  return at + header > bytes.length ? 0 : header;
}

/** Length of the payload, given that the header has come whole. */
function payloadBytes(bytes: Buffer, at: number): number {
  const short = (bytes[at + 1] ?? 0) & ~masked;
  if (short < 126) return short;
  if (short === 126) return bytes.readUInt16BE(at + 2);
  return bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6);
}

/** A copy without the mask (RFC 6455 section 5.3), which stands before the payload. */
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
