/**
 * Bystanders of channels with more than a worker can write: pairs of clients on two workers that send each other small
 * messages, and clients that join new channels. What they notice is measured alone and beside busy channels.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, connectApart, eventually, type HubProcess } from '../../test/support.ts';
import { Histogram } from '../histogram.ts';
import { startHogs, type Hogs } from '../hogs.ts';

const pairs = 8;
const messageEveryMs = 20;
const joinEveryMs = 50;
/** after the last message, for those that are still on their way */
const patienceMs = 60_000;

export const phases: readonly { readonly name: string; readonly hogs: Hogs | null }[] = [
  { name: 'undisturbed', hogs: null },
  { name: 'beside 1 sender with 1 000 readers', hogs: { senders: 1, readersEach: 1_000 } },
  { name: 'beside 4 senders with 200 readers each', hogs: { senders: 4, readersEach: 200 } },
];

export interface Noticed {
  readonly lost: number;
  readonly messages: Histogram;
  readonly joins: Histogram;
}

/** What the bystanders notice in this time, beside the busy channels if there are any. */
export async function noticed(hub: HubProcess, hogs: Hogs | null, durationMs: number): Promise<Noticed> {
  const endHogs = hogs && (await startHogs(hub.port, hogs));
  try {
    return await measure(hub, durationMs);
  } finally {
    await endHogs?.();
  }
}

async function measure(hub: HubProcess, durationMs: number): Promise<Noticed> {
  const [messages, joins] = [new Histogram(), new Histogram()];
  let sent = 0;
  let received = 0;
  const clients = (
    await Promise.all(
      Array.from({ length: pairs }, (_, n) => connectApart(hub, `bystanders/${n}?echo=false`)),
    )
  ).flat();
  for (const { ws } of clients) {
    ws.on('message', (data: Buffer) => {
      received += 1;
      messages.record((performance.now() - Number(data.toString())) * 1_000);
    });
  }
  const sending = setInterval(() => {
    for (const client of clients) client.send(performance.now());
    sent += clients.length;
  }, messageEveryMs);
  const until = performance.now() + durationMs;
  for (let n = 0; performance.now() < until; n += 1) {
    const startedAt = performance.now();
    const client = await connect(hub, `newcomer/${n}`);
    joins.record((performance.now() - startedAt) * 1_000);
    client.ws.close();
    await sleep(joinEveryMs);
  }
  clearInterval(sending);
  const deadline = performance.now() + patienceMs;
  const isOver = () => received >= sent || performance.now() > deadline;
  await eventually(() => isOver() || undefined, 'the last messages');
  for (const { ws } of clients) ws.terminate();
  return { lost: sent - received, messages, joins };
}

export function line(name: string, { lost, messages, joins }: Noticed): string {
  const p99 = (times: Histogram) => times.quantileMs(0.99).toFixed(0);
  return `bystanders ${name}: ${lost} lost, p99 ${p99(messages)} ms; joins p99 ${p99(joins)} ms`;
}
