/** The Redis engine for tests, with a server of its own. */
import type { TestContext } from 'node:test';
import type { HistoryRule, SharedEngineEvents } from '../../../src/engine/engine.ts';
import { RedisEngine } from '../../../src/engine/redis/redis-engine.ts';
import { RedisServer, type RedisServerOptions } from '../../redis-server.ts';
import { eventually } from '../../support.ts';
import { recorder, type Rig } from '../conformance.ts';

export interface EngineOptions {
  machine?: string;
  rule: HistoryRule;
  delivered?: Rig['delivered'];
  events?: Partial<SharedEngineEvents>;
  passwordFile?: string | null;
  tlsCaFile?: string | null;
}

/** An engine that is connected, and closed with the test. */
export async function engineOn(t: TestContext, url: string, options: EngineOptions): Promise<RedisEngine> {
  const engine = startedOn(t, url, options);
  await isUp(engine);
  return engine;
}

/** An engine that connects, and is closed with the test. */
export function startedOn(
  t: TestContext,
  url: string,
  {
    machine = 'one',
    rule,
    delivered = [],
    events = {},
    passwordFile = null,
    tlsCaFile = null,
  }: EngineOptions,
): RedisEngine {
  const engine = new RedisEngine({
    url,
    passwordFile,
    tlsCaFile,
    prefix: 'test',
    machine,
    rule: () => rule,
    events: {
      ...recorder(delivered),
      relayed: () => undefined,
      control: () => undefined,
      up: () => undefined,
      down: () => undefined,
      ...events,
    },
  });
  t.after(() => {
    engine.kill();
  });
  engine.start();
  return engine;
}

export async function isUp(engine: RedisEngine): Promise<void> {
  await eventually(() => (engine.isUp ? true : undefined), 'a connection to Redis');
}

let lastMarker = 0;

/** The suite's rig. Messages come over PUB/SUB, so a marker behind them tells when they are delivered. */
export async function redisRig(
  t: TestContext,
  rule: HistoryRule,
  options: RedisServerOptions = {},
): Promise<Rig & { server: RedisServer }> {
  const server = await RedisServer.start(t, options);
  const delivered: Rig['delivered'] = [];
  const markers = new Set<string>();
  const isMarked = { relayed: (_: string, payload: Buffer) => void markers.add(payload.toString()) };
  const begin = () => engineOn(t, server.url, { rule, delivered, events: isMarked });
  const other = await engineOn(t, server.url, { machine: 'other', rule });
  const rig = {
    engine: await begin(),
    server,
    delivered,
    listen: (channel: string) => rig.engine.subscribe(channel),
    settle: async () => {
      await rig.engine.subscribe('marker');
      const marker = `marker ${++lastMarker}`;
      other.relay('marker', Buffer.from(marker), Buffer.alloc(0));
      await eventually(() => (markers.has(marker) ? true : undefined), marker);
    },
    advance: (ms: number) => server.age(ms),
    crash: async () => {
      rig.engine.kill();
      rig.engine = await begin();
    },
    restart: async () => {
      await rig.engine.close();
      rig.engine = await begin();
    },
  };
  return rig;
}
