// What new channels cost a sibling: two hubs of one worker each, in two processes, linked as in a real one. Here a
// thousand channels a second are claimed, waited for until the sibling has acknowledged them, and given up again; it
// measures its own CPU. Run as `sibling.ts sibling <directory>` this file is that sibling.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Counters } from '../../src/metrics/counters.ts';
import { batchingLimits } from '../../src/channel/batching.ts';
import { Namespaces } from '../../src/config/namespaces.ts';
import { Hub } from '../../src/hub.ts';
import { Mesh } from '../../src/relay/mesh/mesh.ts';
import { createLog } from '../../src/platform/log.ts';
import { settingsTable } from '../../src/config/settings.ts';

const perSecond = 1_000;
const warmMs = 15_000;
const measureMs = 5_000;
const pacerMs = 1;

async function hubIn(directory: string, workerId: string): Promise<{ hub: Hub; mesh: Mesh }> {
  const path = (id: string) => join(directory, `${id}.sock`);
  const maxBatchDelayMs = settingsTable.maxBatchDelayMs.default;
  const counters = new Counters();
  const identity = { hubId: 'bench', workerId, path: path(workerId) };
  const batching = batchingLimits(maxBatchDelayMs, 2);
  const mesh = new Mesh(identity, batching, createLog('silent', workerId, 'json'), counters);
  const namespaces = Namespaces.from({ namespaces: [], strictNamespaces: false });
  const hub = new Hub({
    namespaces,
    streams: null,
    workerId,
    maxBatchDelayMs,
    workers: 2,
    relay: mesh,
    connections: () => 0,
    counters,
  });
  const ignore = () => undefined;
  await mesh.listen({ call: ignore, result: ignore, linkClosed: ignore });
  mesh.setPeers(['here', 'sibling'].map((id) => ({ workerId: id, path: path(id) })));
  return { hub, mesh };
}

/** Claims and gives up channels at an even pace; counts those that the sibling has acknowledged. */
function joining(hub: Hub): { known: () => number; stop: () => void } {
  const startedAt = performance.now();
  let claimed = 0;
  let known = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) * perSecond) / 1_000;
    for (; claimed < due; claimed += 1) {
      const channel = hub.reserve(`channel ${claimed}`);
      hub.whenKnown(channel, () => {
        known += 1;
        hub.release(channel);
      });
    }
  }, pacerMs);
  return {
    known: () => known,
    stop: () => {
      clearInterval(timer);
    },
  };
}

/** @returns microseconds of the sibling's CPU for each channel, and how many of them there were in a second */
export async function siblingCost(): Promise<{ cpuUs: number; perSecond: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'bench-sibling-'));
  const child = fork(import.meta.filename, ['sibling', directory]);
  const cpuUs = async () => {
    child.send('cpu');
    const [answer] = (await once(child, 'message')) as [number];
    return answer;
  };
  try {
    const { hub, mesh } = await hubIn(directory, 'here');
    await new Promise<void>((resolve) => {
      mesh.whenLinked(resolve);
    });
    const { known, stop } = joining(hub);
    await sleep(warmMs);
    const [before, from, at] = [known(), await cpuUs(), performance.now()];
    await sleep(measureMs);
    const channels = known() - before;
    const cost = (await cpuUs()) - from;
    stop();
    mesh.close();
    return { cpuUs: cost / channels, perSecond: (channels * 1_000) / (performance.now() - at) };
  } finally {
    child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  }
}

if (process.argv[2] === 'sibling') {
  await hubIn(process.argv[3] ?? '', 'sibling');
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  });
}
