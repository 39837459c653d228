/** Sockets that the service manager has opened for the hub (sd_listen_fds(3)). */
import { OperatorError } from '../platform/errors.ts';

/** SD_LISTEN_FDS_START */
const firstFd = 3;

/**
 * Returns the descriptor to listen on; null: none was passed to this process.
 * @throws {OperatorError} more than one was passed
 */
export function passedSocket(env: Readonly<NodeJS.ProcessEnv>, pid: number): number | null {
  if (env['LISTEN_PID'] !== String(pid)) return null;
  const count = Number(env['LISTEN_FDS'] ?? 0);
  if (count > 1) throw new OperatorError(`the service manager passed ${count} sockets; the hub takes one`);
  return count === 1 ? firstFd : null;
}
