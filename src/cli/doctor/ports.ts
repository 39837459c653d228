/**
 * Finds the owner of each port of the hub: none, the running hub, systemd on behalf of the hub, or another process. Connects
 * to a port only if that starts no unit, and names a process only if its descriptors are readable.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { messageOf } from '../../platform/errors.ts';

const requestTimeoutMs = 3_000;

/** A process sets its own command line, of any length. */
const maxCommandLength = 200;

interface HoldingProcess {
  pid: number;
  command: string;
}

export interface PortFacts {
  setting: 'WSHUB_PORT' | 'WSHUB_OPS_PORT';
  port: number;
  holder: 'nobody' | 'hub' | 'systemd' | 'other';
  /** of another holder: why listening fails, and the process; null: not visible to this user */
  reason?: string;
  process?: HoldingProcess | null;
}

/** @param keptPorts ports on which socket units listen */
export async function portFacts(
  setting: PortFacts['setting'],
  host: string,
  port: number,
  keptPorts: readonly number[],
): Promise<PortFacts> {
  const reason = await listenFault(host, port);
  if (reason === null) return { setting, port, holder: 'nobody' };
  // Connecting would start the hub.
  if (setting === 'WSHUB_PORT' && keptPorts.includes(port)) return { setting, port, holder: 'systemd' };
  if (await answersAsHub(setting, host, port)) return { setting, port, holder: 'hub' };
  return { setting, port, holder: 'other', reason, process: processOn(port) };
}

/** Returns why listening fails; null if it succeeds. */
function listenFault(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', (error) => {
      resolve(messageOf(error));
    });
    server.listen(port, host, () => {
      server.close(() => {
        resolve(null);
      });
    });
  });
}

/** Recognizes a hub by a response that needs no token and that no other program gives. */
async function answersAsHub(setting: PortFacts['setting'], host: string, port: number): Promise<boolean> {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  const address = reachable.includes(':') ? `[${reachable}]` : reachable;
  const [path, mark] =
    setting === 'WSHUB_PORT' ? ['/', '"upgrade_required"'] : ['/metrics', 'wshub_build_info'];
  try {
    const signal = AbortSignal.timeout(requestTimeoutMs);
    return (await (await fetch(`http://${address}:${port}${path}`, { signal })).text()).includes(mark);
  } catch {
    return false; // no HTTP, or no response in time
  }
}

/** Returns the process that listens on a TCP port (proc_net(5), proc_pid_fd(5)). */
function processOn(port: number): HoldingProcess | null {
  const sockets = new Set(['tcp', 'tcp6'].flatMap((table) => listeners(`/proc/net/${table}`, port)));
  for (const pid of readNames('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const fd of readNames(`/proc/${pid}/fd`)) {
      if (!sockets.has(target(`/proc/${pid}/fd/${fd}`))) continue;
      const command = readText(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
      return { pid: Number(pid), command: command.slice(0, maxCommandLength) };
    }
  }
  return null;
}

/** Link targets of the descriptors of sockets that listen on a port. */
function listeners(table: string, port: number): string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  return readText(table)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hexPort}`) && state === '0A')
    .map((columns) => `socket:[${columns[9]}]`);
}

// Processes end at any time, and those of other users are not readable: such reads count as empty.

function readNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
