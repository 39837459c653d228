/** Cuts a stream of chunks into the frames of frame.ts and reads their fields. Knows no socket. */
import { headBytes, lengthBytes, maxFrameBytes } from '../mesh/frame.ts';
import { FrameError } from '../mesh/frame-decoder.ts';
import type { PresentMember } from '../../channel/member.ts';
import type { Position } from '../../engine/engine.ts';
import { brokerLinkVersion } from './frame.ts';

/** The fields of one frame, read in order. Buffers are views into the chunk. Each read checks the length. */
export class Fields {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** Moves to the body of a frame. */
  enter(bytes: Buffer, at: number, end: number): this {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    return this;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  u48(): number {
    return this.#bytes.readUIntBE(this.#take(6), 6);
  }

  f64(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  text8(encoding: 'utf8' | 'latin1'): string {
    const length = this.u8();
    const at = this.#take(length);
    return this.#bytes.toString(encoding, at, at + length);
  }

  bytes8(): Buffer {
    return this.#view(this.u8());
  }

  bytes16(): Buffer {
    return this.#view(this.u16());
  }

  text16(): string {
    return this.bytes16().toString('latin1');
  }

  position(): Position {
    return { epoch: this.text8('latin1'), offset: this.u48() };
  }

  /** null: the epoch is empty */
  optionalPosition(): Position | null {
    const position = this.position();
    return position.epoch === '' ? null : position;
  }

  member(): PresentMember {
    return {
      connectionId: this.text8('latin1'),
      user: this.bytes16().toString(),
      info: this.bytes16().toString(),
      channelInfo: this.restText('utf8'),
    };
  }

  rest(): Buffer {
    return this.#view(this.#end - this.#at);
  }

  restText(encoding: 'utf8' | 'latin1'): string {
    const at = this.#take(this.#end - this.#at);
    return this.#bytes.toString(encoding, at, this.#end);
  }

  json(): unknown {
    try {
      return JSON.parse(this.restText('utf8'));
    } catch (cause) {
      throw new FrameError('a frame that must hold JSON does not', 'decode', { cause });
    }
  }

  #view(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** @throws {FrameError} the frame is too short */
  #take(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) throw new FrameError('a frame is shorter than its type');
    this.#at = at + bytes;
    return at;
  }
}

/**
 * Called with each frame.
 * @throws {FrameError} the frame is not valid at this point
 */
export type TakeFrame = (type: number, fields: Fields) => void;

/** Cuts a stream of chunks into frames. */
export class FrameReader {
  readonly #take: TakeFrame;
  readonly #fields = new Fields();
  /** chunks of an incomplete frame */
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** length of the first frame in `#parts`; `lengthBytes` until its length field is complete */
  #wantedBytes = lengthBytes;

  constructor(take: TakeFrame) {
    this.#take = take;
  }

  /** @throws {FrameError} the chunk is not valid; the reader must not be used again */
  push(chunk: Buffer): void {
    if (this.#partBytes === 0) {
      this.#cut(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#partBytes += chunk.length;
    if (this.#partBytes < this.#wantedBytes) return;
    const joined = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#cut(joined);
  }

  #cut(bytes: Buffer): void {
    let at = 0;
    this.#wantedBytes = lengthBytes;
    while (bytes.length - at >= lengthBytes) {
      const end = at + lengthBytes + bytes.readUInt32BE(at);
      if (end - at < headBytes) throw new FrameError('a frame is shorter than its head');
      if (end - at > maxFrameBytes) throw new FrameError(`a frame of ${end - at} bytes is too large`);
      if (end > bytes.length) {
        this.#wantedBytes = end - at;
        break;
      }
      const version = bytes[at + lengthBytes] ?? 0;
      if (version !== brokerLinkVersion) {
        throw new FrameError(`link version ${version} is not ${brokerLinkVersion}`, 'version');
      }
      this.#take(bytes[at + lengthBytes + 1] ?? 0, this.#fields.enter(bytes, at + headBytes, end));
      at = end;
    }
    if (at < bytes.length) {
      this.#parts.push(bytes.subarray(at));
      this.#partBytes = bytes.length - at;
    }
  }
}
