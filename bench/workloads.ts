// The table of workloads: senders and receivers, measurement, printed columns. Adding a workload is
// one row here.
import type { MetricName } from './metrics.ts';
import { churn } from './procedures/churn.ts';
import { hog } from './procedures/hog.ts';
import { idle } from './procedures/idle.ts';
import { relay } from './procedures/relay.ts';
import { saturate } from './procedures/saturate.ts';
import { steady } from './procedures/steady.ts';
import { storm } from './procedures/storm.ts';
import type { Durations, Load, Procedure } from './procedures/trial.ts';
import type { Population } from './generator/generator.ts';

export interface Workload {
  readonly name: string;
  readonly about: string;
  readonly procedure: Procedure;
  /** Needs something that only the hub has. */
  readonly hubOnly: boolean;
  /** Other servers that have it too. */
  readonly beside?: readonly string[];
  /** Usually one; where there are several, the others are compared with the first. */
  readonly loads: Readonly<Record<string, Load>>;
  /** What `--quick` measures instead, where that takes less time. */
  readonly quickLoads?: Readonly<Record<string, Load>>;
  readonly columns: readonly MetricName[];
  /** Printed as multiples of the baseline. */
  readonly ratios: readonly MetricName[];
}

const flow: readonly MetricName[] = [
  'deliveriesPerS',
  'expected',
  'arrived',
  'p50Ms',
  'p99Ms',
  'p999Ms',
  'cpuPerDeliveryUs',
  'cpuPerMessageUs',
  'serverCores',
  'generatorCores',
];

function channels(name: string, count: number, members: number, publishers: number): Population {
  return { name, channels: count, members, publishers };
}

function load(population: Population, perSecond: number, more: Partial<Load> = {}): Record<string, Load> {
  return { '': { workers: 2, population, perSecond, ...more } };
}

// A thousand messages a second and worker keep a compiler waiting: the hub's cost of one falls for 40 s. And at a
// quarter of a core 5 s of them scatter by a fifth.
const patient: Partial<Durations> = { warmMs: 40_000, measureMs: 10_000 };

const hot = channels('hot', 1, 150, 50);

// The same traffic and the same number of sockets, with few channels and with many: the bystanders of a worker hold
// one channel or one each. A process may open 20 000 files, so 100 000 connections take more than two workers.
function flat(workers: number, connections: number): Record<string, Load> {
  const population = channels('active', 99, 10, 10);
  return {
    '100 channels': {
      ...{ workers, population, perSecond: 2000 },
      bystanders: channels('still', 1, connections, 0),
    },
    [`${connections + 99} channels`]: {
      ...{ workers, population, perSecond: 2000 },
      bystanders: channels('still', connections, 1, 0),
    },
  };
}

/** The same bystanders alone, beside one busy channel with many readers, and beside four with fewer. */
function besideHogs(many: number, fewer: number): Record<string, Load> {
  const bystanders = { workers: 2, population: channels('pair', 32, 2, 2), perSecond: 800 };
  return {
    undisturbed: bystanders,
    [`beside 1 with ${many} readers`]: { ...bystanders, hogs: { senders: 1, readersEach: many } },
    [`beside 4 with ${fewer} readers`]: { ...bystanders, hogs: { senders: 4, readersEach: fewer } },
  };
}

function withAndWithoutHistory(population: Population, more: Partial<Load> = {}): Record<string, Load> {
  const plain: Load = { workers: 2, population, perSecond: 2000, ...more };
  const namespaces = [{ historySize: 100, historyTtl: '1h' }];
  const env = { WSHUB_NAMESPACES: JSON.stringify(namespaces) };
  return { without: plain, with: { ...plain, env, keepsHistory: true } };
}

/** All clients come back at once: on channels without history, with it, and with positions. */
function returns(population: Population): Record<string, Load> {
  const namespaces = [{ historySize: 100, historyTtl: '1h' }];
  const unlimited = { WSHUB_CONNECT_RATE: '0', WSHUB_CONNECT_RATE_PER_ADDRESS: '0' };
  const kept = { ...unlimited, WSHUB_NAMESPACES: JSON.stringify(namespaces) };
  const plain: Load = { workers: 2, population, perSecond: 0, missed: 5, env: unlimited };
  return {
    'without history': plain,
    'with history, without position': { ...plain, env: kept },
    'with position, 5 missed': { ...plain, env: kept, resumes: true },
  };
}

export const workloads: readonly Workload[] = [
  {
    name: 'hot',
    about: '1 channel, 100 subscribers and 50 publishers who also receive, 4 000 messages/s',
    procedure: steady,
    hubOnly: false,
    loads: load(hot, 4000),
    columns: flow,
    ratios: ['deliveriesPerS', 'cpuPerDeliveryUs'],
  },
  {
    name: 'broadcast',
    about: '1 channel of 1 000 of whom 4 publish, 40 messages/s',
    procedure: steady,
    hubOnly: false,
    loads: load(channels('broadcast', 1, 1000, 4), 40),
    columns: flow,
    ratios: ['cpuPerDeliveryUs'],
  },
  {
    name: 'rooms',
    about: '1 000 channels of 5, 2 000 messages/s in all (--quick: 200 channels)',
    procedure: steady,
    hubOnly: false,
    loads: load(channels('room', 1000, 5, 5), 2000, { durations: patient }),
    quickLoads: load(channels('room', 200, 5, 5), 2000),
    columns: flow,
    ratios: ['cpuPerMessageUs'],
  },
  {
    name: 'pairs',
    about: '2 500 channels of 2, 2 000 messages/s in all (--quick: 500 channels)',
    procedure: steady,
    hubOnly: false,
    loads: load(channels('pair', 2500, 2, 2), 2000, { durations: patient }),
    quickLoads: load(channels('pair', 500, 2, 2), 2000),
    columns: flow,
    ratios: ['cpuPerMessageUs'],
  },
  {
    name: 'idle',
    about: '15 000 connections on 100 channels (--quick: 2 000)',
    procedure: idle,
    hubOnly: false,
    loads: load(channels('idle', 100, 150, 0), 0),
    quickLoads: load(channels('idle', 100, 20, 0), 0),
    columns: ['connections', 'connectionsPerS', 'cpuPerConnectionUs', 'memoryPerConnectionKb'],
    ratios: ['cpuPerConnectionUs', 'memoryPerConnectionKb'],
  },
  {
    name: 'churn',
    about:
      '1 000 times a second: connect, join a channel of its own, leave; p50 and p99 are from connect to joined',
    procedure: churn,
    hubOnly: false,
    loads: load(channels('churn', 0, 0, 0), 1000),
    columns: [
      ...(['connectionsPerS', 'expected', 'arrived', 'p50Ms', 'p99Ms'] as const),
      ...(['cpuPerConnectionUs', 'serverCores', 'generatorCores'] as const),
    ],
    ratios: ['cpuPerConnectionUs'],
  },
  {
    name: 'relay',
    about: 'unloaded, 100 messages/s: to a subscriber on the same worker and to one on the other',
    procedure: relay,
    hubOnly: true,
    loads: load(channels('relay', 1, 3, 1), 100),
    columns: ['sameWorkerMs', 'otherWorkerMs', 'differenceMs'],
    ratios: [],
  },
  {
    name: 'flat',
    about: '99 channels of 10, 2 000 messages/s, beside many idle connections on one channel or on one each',
    procedure: steady,
    hubOnly: true,
    loads: flat(7, 100_000),
    quickLoads: flat(2, 2000),
    columns: flow,
    ratios: ['cpuPerDeliveryUs'],
  },
  {
    name: 'history',
    about: 'rooms, without history and with the last 100 messages of each (--quick: 200 channels)',
    procedure: steady,
    hubOnly: true,
    beside: ['nchan'],
    loads: withAndWithoutHistory(channels('room', 1000, 5, 5), { durations: patient }),
    quickLoads: withAndWithoutHistory(channels('room', 200, 5, 5)),
    columns: flow,
    ratios: ['cpuPerMessageUs'],
  },
  {
    name: 'resume',
    about: 'resume storm: 10 000 clients of 1 000 channels come back at once (--quick: 1 000 of 100)',
    procedure: storm,
    hubOnly: true,
    loads: returns(channels('storm', 1_000, 10, 0)),
    quickLoads: returns(channels('storm', 100, 10, 0)),
    columns: [
      ...(['connections', 'connectionsPerS', 'recovered', 'expected', 'arrived'] as const),
      ...(['joinP50Ms', 'joinP99Ms', 'cpuPerConnectionUs'] as const),
    ],
    ratios: ['cpuPerConnectionUs'],
  },
  {
    name: 'hog',
    about:
      '32 channels of 2, 800 messages/s, and 20 joins/s, beside senders of 240 messages of 64 KB a second (--quick: 50 readers)',
    procedure: hog,
    hubOnly: true,
    loads: besideHogs(1_000, 200),
    quickLoads: besideHogs(50, 10),
    columns: [
      ...(['expected', 'arrived', 'p50Ms', 'p99Ms', 'joinP50Ms', 'joinP99Ms'] as const),
      ...(['serverCores', 'generatorCores'] as const),
    ],
    ratios: ['p99Ms', 'joinP99Ms'],
  },
  {
    name: 'workers',
    about: 'hot, with two workers and with eight',
    procedure: steady,
    hubOnly: true,
    loads: {
      '2 workers': { workers: 2, population: hot, perSecond: 4000 },
      '8 workers': { workers: 8, population: hot, perSecond: 4000 },
    },
    columns: flow,
    ratios: ['cpuPerDeliveryUs'],
  },
  {
    name: 'saturate',
    about: 'hot, at the highest rate at which every message arrives and p99 is under 50 ms',
    procedure: saturate,
    hubOnly: false,
    loads: load(hot, 2000),
    columns: flow,
    ratios: ['deliveriesPerS'],
  },
];
