/**
 * How many sockets this process can have. A process that runs out of descriptors cannot even refuse a client, so
 * the number of connections is kept below the limit, with a reserve for handshakes on their way, links and files.
 */
import { readFileSync } from 'node:fs';

const minReserve = 64;
const reserveShare = 0.05;
/** what no limit of the system means here */
const maxSockets = 1_000_000;
/** where the system does not say what it allows */
const assumedLimit = 1024;

/**
 * Descriptors that a process may have open (proc_pid_limits(5); Node raises it to the hard limit at its start).
 * @param pid by default this one's
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

/** As `knownDescriptorLimit`, or what a system allows at least. */
export function descriptorLimit(pid: number | 'self' = 'self'): number {
  return knownDescriptorLimit(pid) ?? assumedLimit;
}

export interface SocketLimits {
  /** connections */
  connections: number;
  /** connections, and handshakes and HTTP requests on their way */
  sockets: number;
}

/** @param wanted connections that the operator allows; undefined: as many as there can be */
export function socketLimits(wanted: number | undefined, descriptors: number): SocketLimits {
  const reserve = Math.max(minReserve, Math.ceil(Math.min(descriptors, maxSockets) * reserveShare));
  const possible = Math.max(1, descriptors === Infinity ? maxSockets : descriptors - reserve);
  return { connections: Math.min(wanted ?? possible, possible), sockets: possible + Math.floor(reserve / 2) };
}
