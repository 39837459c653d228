/**
 * The way of a client's messages to its HTTP stream: a request brings them to any worker, and the worker that has the stream takes
 * them. A stream is named by its worker, the node, and by a secret, the session: 128 random bits that only its client knows.
 */
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { RpcClient } from '../ipc/rpc.ts';
import type { StreamAddress } from '../session/context.ts';
import type { HttpStream } from '../transport/http-stream/http-stream.ts';

/**
 * The result of a delivery.
 * - `taken`: the session has them, or will have them in this order
 * - `unknown`: there is no such stream
 * - `busy`: too many messages of the client wait
 * - `unavailable`: the worker of the stream did not answer
 */
export type Delivery = 'taken' | 'unknown' | 'busy' | 'unavailable';

/** The links to the siblings. */
export interface EmulationLinks {
  callable(): string[];
  send(sibling: string, type: 'call' | 'result', value: unknown): boolean;
}

/** How long a sibling may take; SDKs wait for 5 s. */
const siblingTimeoutMs = 4_000;

const callShape = z.object({
  emulation: z.object({ id: z.int(), session: z.string(), data: z.string(), isBinary: z.boolean() }),
});
const resultShape = z.object({
  emulation: z.object({ id: z.int(), delivery: z.enum(['taken', 'unknown', 'busy']) }),
});

export class Emulation {
  readonly #workerId: string;
  readonly #links: EmulationLinks;
  /** streams by the digest of their session, so that a lookup does not compare secrets */
  readonly #streams = new Map<string, HttpStream>();
  readonly #calls = new RpcClient();

  constructor(workerId: string, links: EmulationLinks) {
    this.#workerId = workerId;
    this.#links = links;
  }

  /** Returns the address of a new stream. `open` or nothing must follow. */
  address(): StreamAddress {
    return { session: randomBytes(16).toString('base64url'), node: this.#workerId };
  }

  open({ session }: StreamAddress, stream: HttpStream): void {
    this.#streams.set(digestOf(session), stream);
  }

  close({ session }: StreamAddress): void {
    this.#streams.delete(digestOf(session));
  }

  /** Passes messages to a stream of any worker. */
  async deliver({ session, node }: StreamAddress, data: Buffer, isBinary: boolean): Promise<Delivery> {
    if (node === this.#workerId) return this.#take(session, data, isBinary);
    if (!this.#links.callable().includes(node)) return 'unknown';
    const text = data.toString(isBinary ? 'base64' : 'utf8');
    try {
      return (await this.#calls.call({
        callee: node,
        name: 'emulation',
        timeoutMs: siblingTimeoutMs,
        send: (id) => this.#links.send(node, 'call', { emulation: { id, session, data: text, isBinary } }),
      })) as Delivery;
    } catch {
      return 'unavailable';
    }
  }

  #take(session: string, data: Buffer, isBinary: boolean): Delivery {
    const stream = this.#streams.get(digestOf(session));
    if (!stream) return 'unknown';
    return stream.receive(data, isBinary) ? 'taken' : 'busy';
  }

  /** Called with each call of a sibling. @returns false: it is another's */
  call(from: string, value: unknown): boolean {
    const call = callShape.safeParse(value);
    if (!call.success) return false;
    const { id, session, data, isBinary } = call.data.emulation;
    const delivery = this.#take(session, Buffer.from(data, isBinary ? 'base64' : 'utf8'), isBinary);
    this.#links.send(from, 'result', { emulation: { id, delivery } });
    return true;
  }

  /** Called with each answer of a sibling. @returns false: it is another's */
  result(from: string, value: unknown): boolean {
    const result = resultShape.safeParse(value);
    if (!result.success) return false;
    this.#calls.answer(from, result.data.emulation.id, result.data.emulation.delivery);
    return true;
  }

  /** The link to a sibling has closed. */
  linkClosed(sibling: string): void {
    this.#calls.gone(sibling);
  }
}

function digestOf(session: string): string {
  return createHash('sha256').update(session).digest('base64');
}
