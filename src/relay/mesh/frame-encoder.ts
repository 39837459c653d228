/**
 * Appends frames of frame.ts to one growing buffer, so that all frames of a turn leave in one write. Knows no socket.
 */
import { tooBig } from '../relay.ts';
import type { Publication } from '../../channel/publication.ts';
import {
  countBytes,
  frameTypes,
  headBytes,
  idBytes,
  lengthBytes,
  linkVersion,
  maxFrameBytes,
  publicationBytes,
  publicationFlags,
} from './frame.ts';
import { initialBytes, maxKeptBytes } from './tuning.ts';

const emptyBuffer = Buffer.alloc(0);

/** Appends frames to one buffer until `take` hands them over. */
export class FrameEncoder {
  #buffer = Buffer.allocUnsafeSlow(initialBytes);
  #end = 0;
  /** number of frames since the encoder was created */
  frames = 0;

  /** Number of bytes that the next `take` returns. */
  get pendingBytes(): number {
    return this.#end;
  }

  /**
   * Returns all frames since the last call. The bytes stay valid until `recycle`; without a call of `recycle` the
   * encoder allocates a new buffer.
   */
  take(): Buffer {
    const frames = this.#buffer.subarray(0, this.#end);
    this.#buffer = emptyBuffer;
    this.#end = 0;
    return frames;
  }

  /** Returns a taken buffer to the encoder. It must not be read afterwards. */
  recycle(frames: Buffer): void {
    if (this.#end > 0 || frames.buffer.byteLength > maxKeptBytes) return;
    this.#buffer = Buffer.from(frames.buffer as ArrayBuffer);
  }

  /** @param handedAt now, in seconds of clock.ts; see frame.ts */
  publish(channelId: number, publication: Publication, handedAt: number): void {
    const at = this.#frame(frameTypes.publish, idBytes + bodyBytes(publication));
    this.#publication(this.#buffer.writeUIntBE(channelId, at, idBytes), publication, handedAt);
  }

  /** Appends a publication for a sibling whose number for the channel is not known. */
  named(name: string, publication: Publication, handedAt: number): void {
    const nameBytes = Buffer.byteLength(name);
    let at = this.#frame(frameTypes.named, 1 + nameBytes + bodyBytes(publication));
    at = this.#buffer.writeUInt8(nameBytes, at);
    at += this.#buffer.write(name, at);
    this.#publication(at, publication, handedAt);
  }

  #publication(start: number, { payload, readAt, traced }: Publication, handedAt: number): void {
    const buffer = this.#buffer;
    let at = buffer.writeUInt8(traced === null ? 0 : publicationFlags.traced, start);
    at = buffer.writeDoubleBE(handedAt, at);
    at = buffer.writeFloatBE(handedAt - readAt, at);
    if (traced !== null) at += traced.traceContext.copy(buffer, at);
    payload.copy(buffer, at);
  }

  /** Appends a frame that was encoded and counted earlier. */
  append(frame: Buffer): void {
    const end = this.#end + frame.length;
    if (end > this.#buffer.length) this.#grow(end);
    frame.copy(this.#buffer, this.#end);
    this.#end = end;
  }

  /**
   * Removes the last frame and returns a copy of it.
   * @param start `pendingBytes` before the frame was appended
   */
  takeBack(start: number): Buffer {
    const frame = Buffer.from(this.#buffer.subarray(start, this.#end));
    this.#end = start;
    return frame;
  }

  lost(channelId: number, count: number): void {
    const at = this.#frame(frameTypes.lost, idBytes + countBytes);
    this.#buffer.writeUIntBE(channelId, at, idBytes);
    this.#buffer.writeUInt32BE(count, at + idBytes);
  }

  hold(channelId: number): void {
    this.#number(frameTypes.hold, channelId);
  }

  release(channelId: number): void {
    this.#number(frameTypes.release, channelId);
  }

  alive(): void {
    this.#frame(frameTypes.alive, 0);
  }

  probe(nonce: number): void {
    this.#number(frameTypes.probe, nonce);
  }

  echo(nonce: number): void {
    this.#number(frameTypes.echo, nonce);
  }

  add(channelId: number, name: string): void {
    const at = this.#frame(frameTypes.add, idBytes + Buffer.byteLength(name));
    this.#buffer.writeUIntBE(channelId, at, idBytes);
    this.#buffer.write(name, at + idBytes);
  }

  drop(channelId: number): void {
    this.#number(frameTypes.drop, channelId);
  }

  begin(): void {
    this.#frame(frameTypes.begin, 0);
  }

  sync(sequence: number): void {
    this.#number(frameTypes.sync, sequence);
  }

  ack(sequence: number): void {
    this.#number(frameTypes.ack, sequence);
  }

  /** @param members channel numbers, each with its number of members */
  counts(connections: number, members: readonly (readonly [channelId: number, members: number])[]): void {
    let at = this.#frame(frameTypes.counts, countBytes + members.length * (idBytes + countBytes));
    at = this.#buffer.writeUInt32BE(connections, at);
    for (const [channelId, count] of members) {
      at = this.#buffer.writeUIntBE(channelId, at, idBytes);
      at = this.#buffer.writeUInt32BE(count, at);
    }
  }

  /**
   * Appends a frame with JSON.
   * @throws {HubError} `message_too_big`: the frame exceeds `maxFrameBytes`; nothing was appended
   */
  json(type: 'hello' | 'call' | 'result', value: unknown): void {
    const text = JSON.stringify(value);
    const bytes = Buffer.byteLength(text);
    if (headBytes + bytes > maxFrameBytes) throw tooBig(bytes);
    const at = this.#frame(frameTypes[type], bytes);
    this.#buffer.write(text, at);
  }

  leaving(): void {
    this.#frame(frameTypes.leaving, 0);
  }

  quiet(): void {
    this.#frame(frameTypes.quiet, 0);
  }

  #number(type: number, value: number): void {
    const at = this.#frame(type, idBytes);
    this.#buffer.writeUIntBE(value, at, idBytes);
  }

  /** Reserves space and writes the head. Returns the offset of the body. */
  #frame(type: number, bodyBytes: number): number {
    const start = this.#end;
    const end = start + headBytes + bodyBytes;
    if (end > this.#buffer.length) this.#grow(end);
    const buffer = this.#buffer;
    buffer.writeUInt32BE(headBytes - lengthBytes + bodyBytes, start);
    buffer[start + 4] = linkVersion;
    buffer[start + 5] = type;
    this.frames += 1;
    this.#end = end;
    return start + headBytes;
  }

  #grow(bytes: number): void {
    const size = Math.max(initialBytes, 2 ** Math.ceil(Math.log2(bytes)));
    const grown = Buffer.allocUnsafeSlow(size);
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

function bodyBytes({ payload, traced }: Publication): number {
  return publicationBytes + (traced === null ? 0 : traced.traceContext.length) + payload.length;
}
