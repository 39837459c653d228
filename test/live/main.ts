/**
 * `npm run test:live`: dashboards, rules and alerts on live data. A hub under load and a real Prometheus on
 * loopback; every query of every panel and rule must answer, and with data unless it is listed as empty when all
 * is well. Then workers are killed and readers stalled, and the alerts for it must go pending.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { annotations, dashboards } from '../../dashboards/src/dashboards.ts';
import { connect, eventually, startHub, type Client, type HubProcess } from '../support.ts';
import { LivePrometheus } from './prometheus.ts';

/** Rules that select nothing while all is well: every alert, that is. */
const emptyRules = (type: string) => type === 'alerting';

const faults: string[] = [];
const table: [panel: string, series: string, values: string, query: string][] = [];

async function main(): Promise<void> {
  const hub = await startHub({
    workers: 3,
    env: {
      WSHUB_LOG_LEVEL: 'info',
      WSHUB_SLOW_POLICY: 'skip', // stalled readers stay, and miss messages
      WSHUB_NAMESPACES: '[{"name":"kept","historySize":100,"historyTtl":"1h"}]',
    },
  });
  const prometheus = await LivePrometheus.start(`127.0.0.1:${hub.opsPort}`);
  const over = new AbortController();
  const load = makeLoad(hub, over.signal);
  try {
    await askEverything(prometheus);
    await killWorkers(hub, prometheus);
    await stallReaders(hub, prometheus);
  } finally {
    over.abort();
    await load.catch(() => undefined);
    await prometheus.end();
    await hub.end();
  }
  print();
  if (faults.length > 0) {
    process.stderr.write(`${faults.join('\n')}\n`);
    process.exitCode = 1;
  }
}

/** Talk on several channels, one with history, clients that come and go, mistakes, admin requests. */
async function makeLoad(hub: HubProcess, signal: AbortSignal): Promise<void> {
  const open = async (i: number) => {
    try {
      return await connect(hub, i % 4 === 3 ? 'kept:live' : `live-${i % 4}`);
    } catch {
      return undefined; // its worker was killed meanwhile
    }
  };
  const clients: (Client | undefined)[] = await Promise.all(Array.from({ length: 24 }, (_, i) => open(i)));
  for (let i = 0; !signal.aborted; i++) {
    const client = clients[i % clients.length];
    if (!client || client.closed) {
      clients[i % clients.length] = await open(i);
    } else {
      client.received.length = 0;
      client.send({ i, text: 'x'.repeat(i % 200) });
      if (i % 50 === 0) client.ws.send('no JSON');
      if (i % 100 === 99) client.ws.close();
    }
    if (i % 40 === 0) await hub.admin('GET', '/state').catch(() => undefined);
    if (i % 40 === 20)
      await hub.admin('POST', '/channels/live-0/messages', { body: '{}' }).catch(() => undefined);
    await sleep(5);
  }
  for (const client of clients) client?.ws.terminate();
}

async function askEverything(prometheus: LivePrometheus): Promise<void> {
  // Two scrapes make a rate, and recording rules need one round more.
  await eventually(
    async () => (await prometheus.query('wshub:messages_delivered:rate5m > 0')).length > 0 || undefined,
    'the first rates',
  );
  await sleep(5_000);
  for (const { uid, rows } of dashboards) {
    for (const { title, queries, emptyWhenWell } of rows.flatMap(({ panels }) => panels)) {
      for (const { expr } of queries) {
        const filled = expr.replaceAll('$__rate_interval', '10s').replaceAll(/\$(job|instance)/g, '.+');
        await ask(prometheus, `${uid}: ${title}`, filled, emptyWhenWell === true);
      }
    }
  }
  for (const { name, expr } of annotations) {
    await ask(prometheus, `annotation ${name}`, expr.replaceAll(/\$(job|instance)/g, '.+'), true);
  }
  for (const { type, name, query, health, lastError = '' } of await prometheus.rules()) {
    await ask(prometheus, `${type} ${name}`, query, emptyRules(type));
    if (health !== 'ok') faults.push(`rule ${name} is ${health}: ${lastError}`);
  }
  const up = await prometheus.query('up{job="wshub"} == 1');
  if (up.length !== 1) faults.push('Prometheus does not take what it scrapes');
  for (const { labels, state } of await prometheus.alerts()) {
    process.stdout.write(`while all is well: ${labels['alertname'] ?? ''} is ${state}\n`);
  }
}

async function ask(
  prometheus: LivePrometheus,
  where: string,
  expr: string,
  mayBeEmpty: boolean,
): Promise<void> {
  const query = expr.replaceAll(/\s+/g, ' ');
  try {
    const values = (await prometheus.query(expr)).map(({ value }) => Number(value[1]));
    const real = values.filter((value) => Number.isFinite(value));
    table.push([where, String(values.length), mayBeEmpty && !real.length ? 'well' : range(real), query]);
    if (values.length === 0 && !mayBeEmpty) faults.push(`${where}: no data for ${query}`);
    if (values.length > 0 && real.length === 0) faults.push(`${where}: no number in ${query}`);
    if (real.some((value) => value < 0)) faults.push(`${where}: less than nothing in ${query}`);
  } catch (error) {
    table.push([where, 'error', '', query]);
    faults.push(`${where}: ${(error as Error).message}: ${query}`);
  }
}

/** The least and the most of what a query gave. */
function range(values: readonly number[]): string {
  if (values.length === 0) return '-';
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) =>
    String(+value.toPrecision(3)),
  );
  return least === most ? (least ?? '') : `${least}..${most}`;
}

async function killWorkers(hub: HubProcess, prometheus: LivePrometheus): Promise<void> {
  // One slot until its restarts come slowly: it is missing for a while.
  const slot = hub.workers[0]?.workerId ?? '';
  let pid = hub.pidOf(slot);
  for (let kill = 0; kill < 6; kill++) {
    process.kill(pid, 'SIGKILL');
    const killed = pid;
    const successor = () =>
      hub.workers.map((worker) => worker.pid).find((one, index) => index === 0 && one !== killed);
    pid = await eventually(successor, 'the successor of a worker');
    await sleep(1_500); // a scrape sees each of them
  }
  await becomesPending(prometheus, 'WshubWorkerRestartLoop');
  process.kill(pid, 'SIGKILL'); // the seventh time its successor comes after 6.4 s
  await becomesPending(prometheus, 'WshubWorkersMissing');
  const hung = hub.workers[1]?.pid ?? 0;
  process.kill(hung, 'SIGSTOP'); // the primary kills it after 10 s
  await becomesPending(prometheus, 'WshubWorkerUnresponsive');
}

/** Clients that read nothing, on a channel that says much. */
async function stallReaders(hub: HubProcess, prometheus: LivePrometheus): Promise<void> {
  const stalled = await Promise.all(Array.from({ length: 12 }, () => connect(hub, 'stalled')));
  for (const client of stalled) client.socket?.pause();
  const speaker = await connect(hub, 'stalled?echo=false');
  const text = 'x'.repeat(60_000);
  const over = new AbortController();
  const talk = (async () => {
    while (!over.signal.aborted && !speaker.closed) {
      speaker.send(text);
      await sleep(20);
    }
  })();
  await becomesPending(prometheus, 'WshubSlowConsumers');
  over.abort();
  await talk;
  for (const client of [...stalled, speaker]) client.ws.terminate();
}

/** The alert is pending or fires. */
async function becomesPending(prometheus: LivePrometheus, name: string): Promise<void> {
  try {
    const alert = await eventually(
      async () => (await prometheus.alerts()).find(({ labels }) => labels['alertname'] === name),
      `${name} to be pending`,
    );
    const { labels, annotations, state } = alert;
    process.stdout.write(`${labels['alertname'] ?? ''} is ${state}: ${annotations['summary'] ?? ''}\n`);
  } catch (error) {
    faults.push((error as Error).message);
  }
}

function print(): void {
  const rows: (typeof table)[number][] = [['panel', 'series', 'values', 'query'], ...table];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    process.stdout.write(`${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`);
  }
  process.stdout.write(`${table.length} queries, ${faults.length} faults\n`);
}

await main();
