/**
 * Limits for the number of sockets of this process. A process without free descriptors cannot even refuse a client, so
 * connections stay below the limit, with a reserve for handshakes, links and files.
 */
import { readFileSync } from 'node:fs';

const minReserve = 64;
const reserveShare = 0.05;
/** Limit of this hub if the system sets none. */
const maxSockets = 1_000_000;
/** Limit if the system's is unknown. */
const assumedLimit = 1024;

/**
 * Returns the limit of open descriptors of a process (proc_pid_limits(5); Node raises it to the hard limit at its start).
 * @returns `null`: the system does not say; `Infinity`: as many as it wants
 */
export function knownDescriptorLimit(pid: number | 'self' = 'self'): number | null {
  try {
    const limits = readFileSync(`/proc/${pid}/limits`, 'latin1');
    const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
    return soft === undefined ? null : soft === 'unlimited' ? Infinity : Number(soft);
  } catch {
    return null;
  }
}

/** Like `knownDescriptorLimit`, with a usual default if the limit is unknown. */
export function descriptorLimit(pid: number | 'self' = 'self'): number {
  return knownDescriptorLimit(pid) ?? assumedLimit;
}

export interface SocketLimits {
  /** maximum connections */
  connections: number;
  /** maximum connections, handshakes and HTTP connections together */
  sockets: number;
}

/** @param wanted maximum connections in the settings; undefined: as many as possible */
export function socketLimits(wanted: number | undefined, descriptors: number): SocketLimits {
  const reserve = Math.max(minReserve, Math.ceil(Math.min(descriptors, maxSockets) * reserveShare));
  const possible = Math.max(1, descriptors === Infinity ? maxSockets : descriptors - reserve);
  return { connections: Math.min(wanted ?? possible, possible), sockets: possible + Math.floor(reserve / 2) };
}
