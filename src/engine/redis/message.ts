/**
 * The bytes of a publication in Redis, big-endian. `t8` and `t16` are bytes after a length of 8 or 16 bits; `payload`
 * takes the rest.
 *
 *   list element   offset f64 | time f64 | stored
 *   stored         worker t8 | number u48 | meta t16 | payload
 *   live           machine t8 | sender u48 | read f64 | trace t8
 *
 * Messages of a PUB/SUB channel; the first byte is their kind and version:
 *
 *   stored         1 | offset f64 | time f64 | epoch t8 | live | stored
 *   relayed        2 | machine t8 | trace t8 | payload          of a channel without history
 *
 * The scripts build the list element and the first message from their parts.
 */
import type { Append, Position, Stored } from '../engine.ts';

const kinds = { stored: 1, relayed: 2 } as const;

/** bytes of a list element before the part `stored` */
const elementHeadBytes = 16;

/** Returns the part of an append that is kept. */
export function storedPart({ worker, number, meta, payload }: Append): Buffer {
  const bytes = Buffer.allocUnsafe(1 + worker.length + 6 + 2 + meta.length + payload.length);
  let at = writeText8(bytes, worker, 0);
  at = bytes.writeUIntBE(number, at, 6);
  at = bytes.writeUInt16BE(meta.length, at);
  at += meta.copy(bytes, at);
  payload.copy(bytes, at);
  return bytes;
}

/** Returns the part of an append for the current subscribers. */
export function livePart(machine: string, { sender, readAt, trace }: Append): Buffer {
  const bytes = Buffer.allocUnsafe(1 + machine.length + 6 + 8 + 1 + trace.length);
  let at = writeText8(bytes, machine, 0);
  at = bytes.writeUIntBE(sender, at, 6);
  at = bytes.writeDoubleBE(readAt, at);
  at = bytes.writeUInt8(trace.length, at);
  trace.copy(bytes, at);
  return bytes;
}

/** Returns the message of a publication of a channel without history. */
export function relayedMessage(machine: string, payload: Buffer, trace: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(1 + 1 + machine.length + 1 + trace.length + payload.length);
  let at = bytes.writeUInt8(kinds.relayed, 0);
  at = writeText8(bytes, machine, at);
  at = bytes.writeUInt8(trace.length, at);
  at += trace.copy(bytes, at);
  payload.copy(bytes, at);
  return bytes;
}

/** Parses a list element. */
export function parseElement(bytes: Buffer): Stored {
  const workerLength = bytes.readUInt8(elementHeadBytes);
  const at = elementHeadBytes + 1 + workerLength + 6;
  const metaEnd = at + 2 + bytes.readUInt16BE(at);
  return {
    offset: bytes.readDoubleBE(0),
    time: bytes.readDoubleBE(8),
    meta: bytes.toString('latin1', at + 2, metaEnd),
    payload: bytes.toString('latin1', metaEnd),
  };
}

export type Message =
  | { kind: 'stored'; machine: string; append: Append; position: Position; time: number }
  | { kind: 'relayed'; machine: string; payload: Buffer; trace: Buffer };

/**
 * Parses a message of the PUB/SUB channel of `channel`. The buffers are views.
 * @returns null: it is malformed, or of another version
 */
export function parseMessage(channel: string, bytes: Buffer): Message | null {
  try {
    if (bytes[0] === kinds.stored) return parseStored(channel, bytes);
    return bytes[0] === kinds.relayed ? parseRelayed(bytes) : null;
  } catch (error) {
    if (error instanceof RangeError) return null; // too short
    throw error;
  }
}

function parseStored(channel: string, bytes: Buffer): Message {
  const [offset, time] = [bytes.readDoubleBE(1), bytes.readDoubleBE(9)];
  const [epoch, afterEpoch] = readText8(bytes, 17);
  const [machine, afterMachine] = readText8(bytes, afterEpoch);
  const [sender, readAt] = [bytes.readUIntBE(afterMachine, 6), bytes.readDoubleBE(afterMachine + 6)];
  const [trace, afterTrace] = readBytes8(bytes, afterMachine + 14);
  const [worker, afterWorker] = readText8(bytes, afterTrace);
  const number = bytes.readUIntBE(afterWorker, 6);
  const metaStart = afterWorker + 8;
  const metaEnd = metaStart + bytes.readUInt16BE(afterWorker + 6);
  const append = {
    channel,
    payload: bytes.subarray(metaEnd),
    meta: bytes.subarray(metaStart, metaEnd),
    key: '',
    sender,
    readAt,
    trace,
    worker,
    number,
  };
  return { kind: 'stored', machine, append, position: { epoch, offset }, time };
}

function parseRelayed(bytes: Buffer): Message {
  const [machine, afterMachine] = readText8(bytes, 1);
  const [trace, afterTrace] = readBytes8(bytes, afterMachine);
  return { kind: 'relayed', machine, trace, payload: bytes.subarray(afterTrace) };
}

function writeText8(bytes: Buffer, text: string, at: number): number {
  const start = bytes.writeUInt8(text.length, at);
  return start + bytes.write(text, start, 'latin1');
}

function readText8(bytes: Buffer, at: number): [text: string, end: number] {
  const end = at + 1 + bytes.readUInt8(at);
  return [bytes.toString('latin1', at + 1, end), end];
}

function readBytes8(bytes: Buffer, at: number): [view: Buffer, end: number] {
  const end = at + 1 + bytes.readUInt8(at);
  return [bytes.subarray(at + 1, end), end];
}
