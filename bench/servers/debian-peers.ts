// Finding the peers that come as Debian packages, and telling when they listen.
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';

/** The first number with dots that the command prints, or null when there is no such command. */
export function versionOf(command: string, args: readonly string[]): string | null {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return error ? null : (/\d+(\.\d+)+/.exec(stdout + stderr)?.[0] ?? 'unknown version');
}

export function accepts(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, '127.0.0.1', () => {
    resolve(true);
  });
  socket.on('error', () => {
    resolve(false);
  });
  return promise.finally(() => socket.destroy());
}
