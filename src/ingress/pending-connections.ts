/**
 * The TCP connections of one address that are no WebSockets, or not yet: silent ones, half handshakes, kept-alive
 * HTTP. An address may have as many of them as it may have WebSockets; without this bound it could take all
 * descriptors with what never becomes one.
 */
import type { Socket } from 'node:net';
import { addressKey } from '../platform/address-key.ts';

export class PendingConnections {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  /** under what each is counted */
  readonly #keys = new WeakMap<Socket, string>();

  /** @param limit for one address; 0: no limit */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false: its address has too many. Else it counts until `leave`, or until it is closed. */
  enter(socket: Socket): boolean {
    if (this.#limit === 0) return true;
    const key = addressKey(socket.remoteAddress ?? '');
    const count = this.#counts.get(key) ?? 0;
    if (count >= this.#limit) return false;
    this.#counts.set(key, count + 1);
    this.#keys.set(socket, key);
    socket.on('close', () => {
      this.leave(socket);
    });
    return true;
  }

  /** It is a WebSocket now, or gone. */
  leave(socket: Socket): void {
    const key = this.#keys.get(socket);
    if (key === undefined) return;
    this.#keys.delete(socket);
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}
