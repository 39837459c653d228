// One measurement: a fresh server and a fresh fleet of generators for it, both gone afterwards.
import { Fleet } from '../fleet.ts';
import type { Population } from '../generator/generator.ts';
import type { Hogs } from '../hogs.ts';
import type { Outcome } from '../metrics.ts';
import type { Server } from '../servers/server.ts';
import { startServer } from '../servers/start.ts';

export interface Load {
  readonly workers: number;
  readonly population: Population;
  /** Connections on other channels, which send and receive nothing. */
  readonly bystanders?: Population;
  /** Busy channels beside the population, in a process of their own. */
  readonly hogs?: Hogs;
  /** Whether peers keep history; the hub does by `env`. */
  readonly keepsHistory?: boolean;
  /** Settings of the hub, besides its defaults. */
  readonly env?: Readonly<Record<string, string>>;
  /** Of a storm: messages on each channel while its clients are away; whether these come back with their positions. */
  readonly missed?: number;
  readonly resumes?: boolean;
  /** Messages, or new connections, a second in all. */
  readonly perSecond: number;
  /** Where it takes other times than all the rest. */
  readonly durations?: Partial<Durations>;
}

export interface Durations {
  readonly warmMs: number;
  readonly measureMs: number;
  /** Time to wait for messages in flight after the last one was sent. */
  readonly drainMs: number;
  /** How long memory is left to settle before it is read. */
  readonly settleMs: number;
  /** How many times the saturation search halves its interval. */
  readonly refinements: number;
  /** How many times the saturation search tries a rate before it calls it too high. */
  readonly attempts: number;
}

export interface Trial {
  readonly server: Server;
  /** The hub's source tree. */
  readonly tree: string;
  readonly load: Load;
  readonly durations: Durations;
}

export type Procedure = (trial: Trial) => Promise<Outcome>;

export interface Stage {
  readonly serverPid: number;
  readonly port: number;
  readonly fleet: Fleet;
}

export async function onStage<T>(trial: Trial, act: (stage: Stage) => Promise<T>): Promise<T> {
  const { server, tree, load } = trial;
  const running = await startServer(server, load.workers, tree, load);
  const connections = sizeOf(load.population) + (load.bystanders ? sizeOf(load.bystanders) : 0);
  const fleet = new Fleet(running.port, server.protocol, connections);
  try {
    return await act({ serverPid: running.pid, port: running.port, fleet });
  } finally {
    fleet.stop();
    await running.stop();
  }
}

export function openAll(fleet: Fleet, population: Population): Promise<unknown> {
  return fleet.call('open', (part) => [population, { part, of: fleet.size }]);
}

export function sizeOf(population: Population): number {
  return population.channels * population.members;
}
