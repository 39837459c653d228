/** Builds the engine of a broker, and logs its state. */
import type { EngineDownPolicy } from '../config/engine-settings.ts';
import { EmbeddedEngine } from '../engine/embedded/embedded-engine.ts';
import { LogStore } from '../engine/embedded/log-store.ts';
import type { Append, Engine, HistoryRule, Position, SharedEngine } from '../engine/engine.ts';
import type { BrokerOptions, RedisBrokerOptions } from '../ipc/broker-messages.ts';
import type { EngineCounters, HistoryHoldings, SharedHoldings } from '../metrics/broker-metrics.ts';
import type { Log } from '../platform/log.ts';
import { lockStateDir } from './state-lock.ts';

/** The server that gets the publications; broker-server.ts implements it. */
export interface EngineClient {
  isUsed(channel: string): boolean;
  deliver(append: Append, position: Position, time: number): void;
  relayed(channel: string, payload: Buffer, trace: Buffer): void;
  engineChanged(): void;
}

/** The other events of an engine. */
export interface EngineOwner {
  /** The server of the engine is reached, or not any longer. */
  changed(isUp: boolean): void;
  /** Another machine has sent a message. */
  control(message: string): void;
}

/** An engine that runs. */
export interface BuiltEngine {
  readonly engine: Engine & { readonly counters: EngineCounters };
  readonly shared: (SharedEngine & SharedHoldings) | null;
  readonly down: EngineDownPolicy;
  holdings(): HistoryHoldings;
  /** Resolves when workers may link. */
  start(): Promise<void>;
  /** Called every second. */
  sweep(): void;
}

type Rule = (channel: string) => HistoryRule;

/** How long the first workers wait for a server that cannot be reached. */
const firstConnectMs = 2_000;

export async function buildEngine(
  options: BrokerOptions,
  rule: Rule,
  client: () => EngineClient,
  log: Log,
  owner: EngineOwner,
): Promise<BuiltEngine> {
  const { redis } = options;
  return redis ? redisEngine(redis, rule, client, log, owner) : embedded(options, rule, client, log);
}

async function embedded(
  { stateDir, historyMaxBytes: maxBytes }: BrokerOptions,
  rule: Rule,
  client: () => EngineClient,
  log: Log,
): Promise<BuiltEngine> {
  await lockStateDir(stateDir);
  const store = new LogStore(stateDir);
  const engine = new EmbeddedEngine({
    rule,
    isUsed: (channel) => client().isUsed(channel),
    maxBytes,
    store,
    events: {
      publication: (append, position, time) => {
        client().deliver(append, position, time);
      },
      durable: (isDurable, reason) => {
        if (isDurable) log.info({ stateDir }, 'history is written to the state directory again');
        else log.error({ stateDir, reason, advice: notDurable }, 'history cannot be written');
      },
    },
  });
  return {
    engine,
    shared: null,
    down: 'local',
    holdings: () => engine,
    start: () => {
      const isContinued = engine.start();
      const { channels, messages, fileBytes } = engine;
      log.info({ stateDir, channels, messages, fileBytes, state: store.outcome }, 'history loaded');
      if (!isContinued && lossSentences[store.outcome] !== undefined) {
        log.warn({ stateDir }, lossSentences[store.outcome]);
      }
      return Promise.resolve();
    },
    sweep: () => {
      engine.sweep();
    },
  };
}

async function redisEngine(
  { down, ...address }: RedisBrokerOptions,
  rule: Rule,
  client: () => EngineClient,
  log: Log,
  owner: EngineOwner,
): Promise<BuiltEngine> {
  // Loaded only here: no other process needs the client, and no hub without this engine.
  const { RedisEngine } = await import('../engine/redis/redis-engine.ts');
  const { machine } = address;
  const server = new URL(address.url).host;
  const first = Promise.withResolvers<boolean>();
  let told: string | null = null;
  const engine = new RedisEngine({
    ...address,
    rule,
    events: {
      publication: (append, position, time) => {
        client().deliver(append, position, time);
      },
      relayed: (channel, payload, trace) => {
        client().relayed(channel, payload, trace);
      },
      durable: () => undefined,
      control: (message) => {
        owner.control(message);
      },
      up: () => {
        told = null;
        log.info({ machine, server }, 'engine reached');
        owner.changed(true);
        client().engineChanged();
        first.resolve(true);
      },
      down: (reason) => {
        if (told === reason) return;
        if (told === null) {
          owner.changed(false);
          client().engineChanged();
        }
        told = reason;
        log.error({ machine, server, reason, advice: notReached[down] }, 'engine not reached');
      },
    },
  });
  return {
    engine,
    shared: engine,
    down,
    holdings: () => ({ bytes: 0, messages: 0, channels: 0, fileBytes: 0, durable: true }),
    start: async () => {
      engine.start();
      const timeout = setTimeout(first.resolve, firstConnectMs, false);
      await first.promise;
      clearTimeout(timeout);
    },
    sweep: () => undefined,
  };
}

const notReached: Readonly<Record<EngineDownPolicy, string>> = {
  local:
    'channels without history work on this machine alone, those with history wait; see WshubEngineDown in the runbook',
  refuse: 'new clients are refused; see WshubEngineDown in the runbook',
};

const notDurable =
  'the hub serves on from memory; if the broker ends now, positions are lost: free space in the state directory, or set WSHUB_STATE_DIR';

/** The warning to the operator if the history was not loaded. */
const lossSentences: Readonly<Record<string, string>> = {
  rebooted: 'the machine was restarted without a stop of the hub: positions of before are not known',
  unreadable:
    'the history files cannot be read and were set aside as unreadable.log: positions of before are not known',
};
