// One line that says where the figures come from.
import { availableParallelism, cpus, release } from 'node:os';
import type { Server } from './servers/server.ts';

export function machineLine(servers: readonly Server[], tree: string): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU';
  const versions = servers.map((server) => `${server.name} ${server.version(tree) ?? 'not installed'}`);
  return [
    `${model}, ${availableParallelism()} cores`,
    `Linux ${release()}`,
    `Node ${process.versions.node}`,
    ...versions,
  ].join(' · ');
}
