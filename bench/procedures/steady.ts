// Messages at a steady pace: are all delivered, how late, and at what cost?
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome } from '../metrics.ts';
import {
  complaints,
  coresBetween,
  merged,
  observe,
  rateBetween,
  total,
  type Observation,
} from './observation.ts';
import { onStage, openAll, type Stage, type Trial } from './trial.ts';

const drainPollMs = 100;
const beforeSendingMs = 300; // Nchan subscribes a moment after it has answered the handshake

export function steady(trial: Trial): Promise<Outcome> {
  return onStage(trial, (stage) => measureSteady(stage, trial));
}

export async function measureSteady(stage: Stage, { load, durations }: Trial): Promise<Outcome> {
  const { fleet } = stage;
  if (load.bystanders) await openAll(fleet, load.bystanders);
  await openAll(fleet, load.population);
  await sleep(beforeSendingMs);
  await fleet.call('startSending', () => [load.perSecond / fleet.size]);
  await sleep(durations.warmMs);
  const from = await observe(stage);
  await sleep(durations.measureMs);
  const to = await observe(stage);
  await fleet.call('stopSending', () => []);
  const end = await drained(stage, load.population.members, durations.drainMs);
  return outcome(from, to, end, load.population.members);
}

function outcome(from: Observation, to: Observation, end: readonly Observation[], members: number): Outcome {
  const last = end.at(-1) ?? to;
  const delays = merged([to, ...end], 'delays');
  const cpuUs = to.serverCpuUs - from.serverCpuUs;
  const expected = total(last, 'sent') * members;
  return {
    metrics: {
      deliveriesPerS: rateBetween(from, to, 'received'),
      messagesPerS: rateBetween(from, to, 'sent'),
      expected,
      arrived: total(last, 'received'),
      p50Ms: delays.quantileMs(0.5),
      p99Ms: delays.quantileMs(0.99),
      p999Ms: delays.quantileMs(0.999),
      cpuPerDeliveryUs: cpuUs / (total(to, 'received') - total(from, 'received')),
      cpuPerMessageUs: cpuUs / (total(to, 'sent') - total(from, 'sent')),
      ...coresBetween(from, to),
    },
    notes: complaints(to, last, expected),
  };
}

/** Waits until every message has reached each member, or the time is up. */
export async function drained(stage: Stage, members: number, drainMs: number): Promise<Observation[]> {
  const observations: Observation[] = [];
  const deadline = performance.now() + drainMs;
  for (;;) {
    await sleep(drainPollMs);
    const now = await observe(stage);
    observations.push(now);
    const complete = total(now, 'received') >= total(now, 'sent') * members;
    if (complete || performance.now() > deadline) return observations;
  }
}
