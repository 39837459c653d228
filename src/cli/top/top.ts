/**
 * `wshub top`: polls the ops port every second and draws the result; keeps running while the hub is down. Without a
 * terminal it prints once and exits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Settings } from '../../config/settings.ts';
import { OperatorError } from '../../platform/errors.ts';
import { printable } from '../../platform/printable.ts';
import { OpsClient } from '../remote/ops-client.ts';
import { Screen } from './screen.ts';
import { totalsOf, view, type Sample } from './view.ts';

const intervalMs = 1_000;
const shownChannels = 10;

/** @throws {OperatorError} as a rejection: at the start no hub answers, or the token is wrong */
export async function top(settings: Settings, input: ReadStream, output: WriteStream): Promise<void> {
  const hub = new OpsClient(settings);
  const first = await sample(hub);
  if (!output.isTTY) {
    output.write(`${view(first, null).join('\n')}\n`);
    return;
  }
  const screen = new Screen(input, output);
  try {
    await live(hub, first, screen);
  } finally {
    screen.close();
  }
}

/** Draws until the user quits. */
async function live(hub: OpsClient, first: Sample, screen: Screen): Promise<void> {
  let [now, before]: [Sample, Sample | null] = [first, null];
  let fault: string | null = null;
  for (;;) {
    const [head = '', ...lines] = view(now, before);
    const note = fault === null ? '' : printable(`from ${secondsSince(now.at)} s ago: ${fault}`);
    screen.show([`${head}   (q quits)`, note, ...lines]);
    const next = sleep(intervalMs).then(() => sample(hub));
    try {
      const latest = await Promise.race([next, screen.left]);
      if (latest === undefined) return;
      [now, before] = [latest, fault === null ? now : null];
      fault = null;
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      fault = error.message; // the hub may be restarting
    }
  }
}

function secondsSince(at: number): number {
  return Math.round((performance.now() - at) / 1_000);
}

async function sample(hub: OpsClient): Promise<Sample> {
  const [state, metrics] = await Promise.all([
    hub.json<Sample['state']>('GET', `/state?limit=${shownChannels}`),
    hub.text('GET', '/metrics'),
  ]);
  return { state, totals: totalsOf(metrics), at: performance.now() };
}
