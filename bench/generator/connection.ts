// One raw socket to the server under test. What comes in is walked in one buffer that all sockets of the process
// share: reads are handled one at a time, and the start of an unfinished frame is kept until the next read, when it
// is put back in front of it.
import { connect, type Socket } from 'node:net';
import { Histogram } from '../histogram.ts';
import type { Link, Protocol, Publication } from '../protocols/protocol.ts';
import { nowUs, readStamp, writeStamp } from './message.ts';

const headroom = 65536; // an unfinished frame is a message, some lines of them, or what a server says on joining
const readBytes = 65536;
const shared = Buffer.alloc(headroom + readBytes);
const inbox = shared.subarray(headroom);

const localAddresses = 64; // with few, finding a free port takes longer than everything else
let nextAddress = 0;

const joinTimeoutMs = 20_000;

export interface Target {
  readonly port: number;
  readonly protocol: Protocol;
}

export class Connection implements Link {
  readonly channel: string;
  readonly member: number;
  greeted = false;
  isJoined = false;
  received = 0;
  /** Where the delay of each message is recorded; replaced when two groups of receivers are told apart. */
  delays: Histogram;
  /** With what the server said on joining. */
  onJoined: (text: string) => void = () => undefined;
  /** With the reason; may be called more than once. */
  onFailed: (reason: string) => void = () => undefined;
  onClosed: () => void = () => undefined;

  readonly #protocol: Protocol;
  readonly #socket: Socket;
  readonly #publication: Publication;
  /** The start of a frame whose end has not arrived; null between frames. */
  #unfinished: Buffer | null = null;
  #readAtUs = 0;

  constructor(target: Target, channel: string, member: number, delays: Histogram) {
    this.channel = channel;
    this.member = member;
    this.delays = delays;
    this.#protocol = target.protocol;
    this.#publication = target.protocol.publication(channel);
    nextAddress = (nextAddress + 1) % localAddresses;
    this.#socket = connect({
      host: '127.0.0.1',
      port: target.port,
      localAddress: `127.0.0.${2 + nextAddress}`,
      noDelay: true,
      onread: {
        buffer: inbox,
        callback: (bytes) => {
          this.#onRead(bytes);
          return true;
        },
      },
    });
    this.#socket.on('error', (error) => {
      this.onFailed(error.message);
    });
    this.#socket.on('close', () => {
      this.onFailed('closed by the server');
      this.onClosed();
    });
    this.#socket.write(target.protocol.greeting(channel, target.port));
  }

  joined(text: string): void {
    this.isJoined = true;
    this.onJoined(text);
  }

  delivered(buffer: Buffer, stampAt: number): void {
    this.received += 1;
    this.delays.record(this.#readAtUs - readStamp(buffer, stampAt));
  }

  failed(reason: string): void {
    this.onFailed(reason);
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes);
  }

  publish(): void {
    const { bytes, stampAt, mask, phase } = this.#publication;
    const copy = Buffer.from(bytes);
    writeStamp(copy, stampAt, nowUs(), mask, phase);
    this.#socket.write(copy);
  }

  leave(): void {
    this.#socket.end(this.#protocol.farewell);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #onRead(bytes: number): void {
    this.#readAtUs = nowUs();
    let from = headroom;
    const to = headroom + bytes;
    if (this.#unfinished) {
      from -= this.#unfinished.length;
      if (from < 0) throw new Error('an unfinished frame is longer than the headroom');
      this.#unfinished.copy(shared, from);
    }
    const walked = this.#protocol.walk(this, shared, from, to);
    this.#unfinished = walked < to ? Buffer.from(shared.subarray(walked, to)) : null;
  }
}

/** A connection that is on its channel, and what the server said to it. */
export async function join(
  target: Target,
  channel: string,
  member: number,
  delays: Histogram,
): Promise<{ connection: Connection; text: string }> {
  const connection = new Connection(target, channel, member, delays);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(() => {
    reject(new Error(`not joined within ${joinTimeoutMs / 1e3} s`));
  }, joinTimeoutMs);
  connection.onJoined = resolve;
  connection.onFailed = (reason) => {
    reject(new Error(reason));
  };
  try {
    return { connection, text: await promise };
  } catch (error) {
    connection.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    connection.onFailed = () => undefined;
  }
}
