/**
 * The TCP connections of one address that are no WebSockets, or not yet: silent ones, half handshakes, kept-alive
 * HTTP. An address may have as many of them as it may have WebSockets; without this bound it could take all
 * descriptors with what never becomes one.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { sourceKey } from '../connection/admission.ts';
import { HubError } from '../errors.ts';
import { refuse } from './refuse.ts';

/**
 * @param limit for one address; not 0
 * @param refused called for each connection that was refused with the error
 */
export function limitUnfinished(server: Server, limit: number, refused: (error: HubError) => void): void {
  const counts = new Map<string, number>();
  /** ends the count of a connection, once */
  const leaves = new WeakMap<object, () => void>();

  server.on('connection', (socket: Socket) => {
    const key = sourceKey(socket.remoteAddress ?? '');
    const count = counts.get(key) ?? 0;
    if (count >= limit) {
      const error = new HubError('too_many_connections');
      refuse(socket, error);
      refused(error);
      return;
    }
    counts.set(key, count + 1);
    const leave = () => {
      socket.off('close', leave);
      const left = (counts.get(key) ?? 1) - 1;
      if (left === 0) counts.delete(key);
      else counts.set(key, left);
    };
    leaves.set(socket, leave);
    socket.on('close', leave);
  });
  server.on('upgrade', (_request, socket) => leaves.get(socket)?.());
}
