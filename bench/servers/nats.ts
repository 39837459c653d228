// nats-server, one process, as many threads running at once as the others have workers.
import { accepts, versionOf } from './debian-peers.ts';
import type { Server } from './server.ts';

export const nats: Server = {
  name: 'nats',
  protocol: 'nats',
  install: 'apt-get install nats-server',
  version: () => versionOf('nats-server', ['--version']),
  launch: ({ port, workers }) => ({
    command: 'nats-server',
    args: ['--addr', '127.0.0.1', '--port', String(port)],
    env: { GOMAXPROCS: String(workers) },
    ready: () => accepts(port),
  }),
};
