/**
 * Limits the TCP connections of one address that are no WebSockets: silent ones, incomplete handshakes, kept-alive HTTP. The limit
 * is the same as for WebSockets; without it one address could use up all descriptors.
 */
import type { Socket } from 'node:net';
import { addressKey } from '../platform/address-key.ts';

export class PendingConnections {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  /** the key under which each socket is counted */
  readonly #keys = new WeakMap<Socket, string>();

  /** @param limit per address; 0: no limit */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns false: the limit of the address is reached; true: the socket counts until `leave` or its close */
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

  /** Must be called when the socket becomes a WebSocket. */
  leave(socket: Socket): void {
    const key = this.#keys.get(socket);
    if (key === undefined) return;
    this.#keys.delete(socket);
    const left = (this.#counts.get(key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(key);
    else this.#counts.set(key, left);
  }
}
