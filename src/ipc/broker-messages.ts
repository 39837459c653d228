/** The messages between primary and broker over the IPC of `fork`. Client messages never travel here. */
import { z } from 'zod';
import type { EngineDownPolicy } from '../config/engine-settings.ts';
import type { LogLevel } from '../platform/log.ts';
import type { LogFormat } from '../platform/log-format.ts';
import type { NamespaceSettings } from '../config/namespaces.ts';

/** The engine of a broker that shares a server with other machines. */
export interface RedisBrokerOptions {
  url: string;
  passwordFile: string | null;
  tlsCaFile: string | null;
  prefix: string;
  /** identifies this machine */
  machine: string;
  down: EngineDownPolicy;
}

/** A question of one machine to the others: an admin action. */
export const machinesAsk = z.object({
  action: z.string(),
  input: z.unknown(),
  /** time limit for the answer of a machine */
  timeoutMs: z.number(),
});
export type MachinesAsk = z.infer<typeof machinesAsk>;

/** The answer of a machine: the parts of its workers, or why there are none. */
export const machineAnswer = z.union([
  z.object({
    parts: z.array(
      z.object({
        worker: z.object({
          id: z.string(),
          slot: z.number(),
          generation: z.number(),
          pid: z.number(),
          state: z.string(),
          ageMs: z.number(),
        }),
        part: z.unknown(),
      }),
    ),
  }),
  z.object({ code: z.string(), message: z.string() }),
]);
export type MachineAnswer = z.infer<typeof machineAnswer>;

/** Answers by machine; `missing` did not answer in time. */
export const machinesAnswer = z.object({
  /** false: the engine is not reached, so no machine was asked */
  isReached: z.boolean(),
  answers: z.array(z.object({ machine: z.string(), answer: machineAnswer })),
  missing: z.array(z.string()),
});
export type MachinesAnswer = z.infer<typeof machinesAnswer>;

/** All that a broker is built from. */
export interface BrokerOptions {
  hubId: string;
  /** the Unix socket on which it listens for workers */
  path: string;
  /** null: history is kept on this machine */
  redis: RedisBrokerOptions | null;
  /** where its files lie; unused with `redis` */
  stateDir: string;
  historyMaxBytes: number;
  namespaces: NamespaceSettings;
  logLevel: LogLevel;
  logFormat: LogFormat;
  /** ids of the workers that use a broker */
  workers: readonly string[];
}

export type ToBroker =
  | { kind: 'start'; options: BrokerOptions }
  /** other namespaces, from a reload */
  | { kind: 'rules'; namespaces: NamespaceSettings; logLevel: LogLevel }
  /** a worker process has ended */
  | { kind: 'workerGone'; workerId: string }
  | { kind: 'ping' }
  /** asks for the counters, as a `part` */
  | { kind: 'collect'; id: number }
  /** ask the other machines for their parts of an admin action; answered with a `part`, a MachinesAnswer */
  | { kind: 'askMachines'; id: number; ask: MachinesAsk }
  /** this machine's answer to `asked` */
  | { kind: 'answered'; id: number; answer: MachineAnswer }
  /** make everything durable and end */
  | { kind: 'stop' };

const fromBroker = z.discriminatedUnion('kind', [
  /** workers can dial */
  z.object({ kind: z.literal('listening') }),
  /** the start failed; `operator`: in a way that only the operator can fix */
  z.object({ kind: z.literal('failed'), message: z.string(), operator: z.boolean() }),
  z.object({ kind: z.literal('pong') }),
  /** the server of the engine is reached, or not any longer */
  z.object({ kind: z.literal('engine'), isUp: z.boolean() }),
  /** all its counters, with each pong */
  z.object({ kind: z.literal('counted'), snapshot: z.unknown() }),
  /** another machine asks for this machine's parts of an admin action */
  z.object({ kind: z.literal('asked'), id: z.number(), ask: machinesAsk }),
  /** answers a `collect` or an `askMachines` */
  z.object({ kind: z.literal('part'), id: z.number(), part: z.unknown() }),
]);

export type FromBroker = z.infer<typeof fromBroker>;

/** A broker's message; null: it is none. */
export function parseFromBroker(value: unknown): FromBroker | null {
  return fromBroker.safeParse(value).data ?? null;
}
