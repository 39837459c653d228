// Installs the packages of the peers beside the bench when one that is to run is missing.
import { spawnSync } from 'node:child_process';
import { socketio, wsCluster } from './servers/node-peers.ts';
import type { Server } from './servers/server.ts';

export function installPeers(wanted: readonly Server[], tree: string): void {
  const missing = [wsCluster, socketio].some((peer) => wanted.includes(peer) && peer.version(tree) === null);
  if (!missing) return;
  process.stderr.write('installing the packages of the peers in bench\n');
  spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}
