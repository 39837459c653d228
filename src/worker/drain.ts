/** The end of a worker's connections. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Hub } from '../hub.ts';
import type { CloseReason } from '../protocol/close-codes.ts';

const pollMs = 20;

/** Tells every client why and closes it; those that do not answer in time are dropped. */
export async function closeAll(hub: Hub, reason: CloseReason, timeoutMs: number): Promise<void> {
  hub.connectionSet.stopPinging();
  for (const connection of [...hub.connectionSet]) connection.close(reason);
  const deadline = performance.now() + timeoutMs;
  while (hub.connectionSet.size > 0 && performance.now() < deadline) await sleep(pollMs);
  for (const connection of [...hub.connectionSet]) connection.terminate();
}
