/**
 * Reads plain frames of a client: whole text messages in one frame each (RFC 6455 section 5.2), which are nearly all
 * frames. Each payload is unmasked into its own buffer. All other bytes are left to ws: other frames, frames that a
 * chunk cuts off, and protocol violations. The reader follows them, to know where the next frame begins and how many
 * bytes ws keeps.
 */
import { isUtf8 } from 'node:buffer';

/** Called with text messages. */
export interface TextReceiver {
  text(payload: Buffer): void;
}

/** bit of the first byte: the frame is the last of its message */
const fin = 0x80;
const opcodeBits = 0x0f;
const finalText = fin | 0x01;
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
   * Passes the plain messages at the start of the bytes to the receiver.
   * @param length number of valid bytes
   * @param maxPayload longer messages are left to ws, which refuses them; in bytes
   * @param maxMessages stops after this number of messages
   * @returns offset of the first byte that is left to ws, or where it stopped; `length`: nothing is left
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
