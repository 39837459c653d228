/** The records of the log: `type u8 | fields`, big-endian; texts follow their length. */
import type { Position } from '../engine.ts';
import type { KeyEntry } from './idempotency-keys.ts';
import type { StoredAppend, StoreReader } from './store.ts';

const types = { append: 1, stream: 2, removed: 3, key: 4, worker: 5 } as const;

const initialBytes = 64 * 1024;
/** a larger buffer is released after its write */
const maxKeptBytes = 1024 * 1024;
/** upper limit of the fixed fields of a record and of the lengths of its texts */
const fixedBytes = 64;

/** Collects records in one buffer, after reserved space for a head. */
export class RecordWriter implements StoreReader {
  readonly #room: number;
  #buffer = Buffer.allocUnsafeSlow(initialBytes);
  #end: number;

  /** @param room reserved bytes before the records */
  constructor(room: number) {
    this.#room = room;
    this.#end = room;
  }

  /** Bytes of the records since the last `take`. */
  get length(): number {
    return this.#end - this.#room;
  }

  /** Returns the reserved bytes and all records; valid until the next record. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#end);
    this.clear();
    return taken;
  }

  clear(): void {
    this.#end = this.#room;
    if (this.#buffer.length > maxKeptBytes) this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  append({ channel, position, time, payload, meta, key, worker, number }: StoredAppend): void {
    this.#begin(
      types.append,
      channel,
      position,
      payload.length + meta.length + 3 * key.length + 3 * worker.length,
    );
    this.#number(time);
    this.#text(worker, 'latin1');
    this.#number(number);
    this.#text(key, 'utf8');
    this.#text(meta, 'latin1');
    this.#text(payload, 'latin1');
  }

  stream(channel: string, position: Position): void {
    this.#begin(types.stream, channel, position, 0);
  }

  removed(channel: string, position: Position): void {
    this.#begin(types.removed, channel, position, 0);
  }

  key({ channel, key, position, time }: KeyEntry): void {
    this.#begin(types.key, channel, position, 3 * key.length);
    this.#text(key, 'utf8');
    this.#number(time);
  }

  worker(worker: string, number: number): void {
    this.#reserve(fixedBytes + worker.length);
    this.#buffer[this.#end++] = types.worker;
    this.#text(worker, 'latin1');
    this.#number(number);
  }

  /** @param moreBytes upper limit of the variable fields after the position */
  #begin(type: number, channel: string, { epoch, offset }: Position, moreBytes: number): void {
    this.#reserve(fixedBytes + 3 * channel.length + epoch.length + moreBytes);
    this.#buffer[this.#end++] = type;
    this.#text(channel, 'utf8');
    this.#text(epoch, 'latin1');
    this.#number(offset);
  }

  #number(value: number): void {
    this.#end = this.#buffer.writeDoubleBE(value, this.#end);
  }

  #text(text: string, encoding: 'latin1' | 'utf8'): void {
    const written = this.#buffer.write(text, this.#end + 4, encoding);
    this.#buffer.writeUInt32BE(written, this.#end);
    this.#end += 4 + written;
  }

  #reserve(bytes: number): void {
    const wanted = this.#end + bytes;
    if (wanted <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(wanted)));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

/** Passes the records of a block to a receiver. */
export class RecordReader {
  readonly #receiver: StoreReader;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(receiver: StoreReader) {
    this.#receiver = receiver;
  }

  /** @throws {RangeError} the bytes are not valid records */
  read(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#at = 0;
    while (this.#at < bytes.length) this.#record(bytes[this.#at++]);
  }

  #record(type: number | undefined): void {
    if (type === types.worker) {
      this.#receiver.worker(this.#text('latin1'), this.#number());
      return;
    }
    const channel = this.#text('utf8');
    const position = { epoch: this.#text('latin1'), offset: this.#number() };
    if (type === types.append) {
      const [time, worker, number] = [this.#number(), this.#text('latin1'), this.#number()];
      const [key, meta, payload] = [this.#text('utf8'), this.#text('latin1'), this.#text('latin1')];
      this.#receiver.append({ channel, position, time, payload, meta, key, worker, number });
    } else if (type === types.stream) {
      this.#receiver.stream(channel, position);
    } else if (type === types.removed) {
      this.#receiver.removed(channel, position);
    } else if (type === types.key) {
      this.#receiver.key({ channel, position, key: this.#text('utf8'), time: this.#number() });
    } else {
      throw new RangeError(`record type ${type ?? '?'} is unknown`);
    }
  }

  #number(): number {
    const value = this.#bytes.readDoubleBE(this.#at);
    this.#at += 8;
    return value;
  }

  #text(encoding: 'latin1' | 'utf8'): string {
    const start = this.#at + 4;
    const end = start + this.#bytes.readUInt32BE(this.#at);
    if (end > this.#bytes.length) throw new RangeError('a text ends behind its block');
    this.#at = end;
    return this.#bytes.toString(encoding, start, end);
  }
}
