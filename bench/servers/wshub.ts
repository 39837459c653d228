// The hub, with its defaults.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Server } from './server.ts';

export const wshub: Server = {
  name: 'wshub',
  protocol: 'hub',
  install: 'npm run build',
  version(tree) {
    if (!existsSync(join(tree, 'dist/cli.js'))) return null;
    const { version } = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as { version: string };
    return version;
  },
  launch: ({ port, opsPort, workers, directory, tree }) => ({
    command: process.execPath,
    args: [join(tree, 'dist/cli.js')],
    env: {
      WSHUB_HOST: '127.0.0.1',
      WSHUB_PORT: String(port),
      WSHUB_OPS_PORT: String(opsPort),
      WSHUB_WORKERS: String(workers),
      WSHUB_RUNTIME_DIR: directory,
    },
    async ready() {
      try {
        return (await fetch(`http://127.0.0.1:${opsPort}/readyz`)).status === 200;
      } catch {
        return false; // not listening yet
      }
    },
  }),
};

/** The same hub with clients of the Centrifugal SDKs' protocol, in JSON. */
export const wshubSdk: Server = {
  ...wshub,
  name: 'wshub-sdk',
  protocol: 'centrifugal',
  workloads: ['hot', 'broadcast', 'rooms', 'pairs'],
};
