// The delay of a message to a subscriber on the publisher's own worker and to one on another worker, for servers
// that tell a client which worker it is on.
import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from '../histogram.ts';
import { join, type Connection, type Target } from './connection.ts';
import { Pacer } from './pacer.ts';

const mostConnections = 64;
const channel = 'relay';

export interface RelayDelays {
  readonly same: string;
  readonly other: string;
}

export async function measureRelay(
  target: Target,
  perSecond: number,
  durationMs: number,
): Promise<RelayDelays> {
  const unused = new Histogram();
  const publisher = await join(target, channel, 0, unused);
  const worker = workerOf(publisher.text);
  const same = await joinWhere(target, (id) => id === worker);
  const other = await joinWhere(target, (id) => id !== worker);
  const pacer = new Pacer();
  pacer.start(perSecond, () => {
    publisher.connection.publish();
  });
  await sleep(durationMs / 5);
  same.delays = new Histogram();
  other.delays = new Histogram();
  await sleep(durationMs);
  pacer.stop();
  return { same: same.delays.take(), other: other.delays.take() };
}

async function joinWhere(target: Target, wanted: (workerId: string) => boolean): Promise<Connection> {
  for (let tried = 0; tried < mostConnections; tried++) {
    const { connection, text } = await join(target, channel, 0, new Histogram());
    if (wanted(workerOf(text))) return connection;
    connection.destroy();
  }
  throw new Error(`none of ${mostConnections} connections came to the worker that was wanted`);
}

function workerOf(text: string): string {
  const { workerId } = JSON.parse(text) as { workerId?: string };
  if (workerId === undefined) throw new Error('the server does not say which worker a client is on');
  return workerId;
}
