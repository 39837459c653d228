// The peers written in JavaScript: programs in peers/, packages from the package.json beside this bench.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProtocolName } from '../protocols/protocols.ts';
import type { Server } from './server.ts';

const bench = join(import.meta.dirname, '..');

function nodePeer(name: string, protocol: ProtocolName, program: string, packageName: string): Server {
  return {
    name,
    protocol,
    install: 'npm ci --prefix bench',
    version() {
      try {
        const text = readFileSync(join(bench, 'node_modules', packageName, 'package.json'), 'utf8');
        return (JSON.parse(text) as { version: string }).version;
      } catch {
        return null;
      }
    },
    launch: launchOf(program),
  };
}

function launchOf(program: string): Server['launch'] {
  return ({ port, workers }) => ({
    command: process.execPath,
    args: [join(bench, 'peers', program)],
    env: { PORT: String(port), WORKERS: String(workers) },
    ready: (output) => output.includes('ready'),
  });
}

export const wsCluster = nodePeer('ws', 'hub', 'ws-cluster.js', 'ws');
export const socketio = nodePeer('socketio', 'socketio', 'socketio-cluster.js', 'socket.io');

/** Not a peer: what of a connection is nearly all Node's own. */
export const bareNet: Server = {
  name: 'net',
  protocol: 'hub',
  workloads: ['churn'],
  install: 'it comes with Node',
  version: () => process.versions.node,
  launch: launchOf('net-cluster.js'),
};
