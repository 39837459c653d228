/** A log that cannot be written: the hub keeps serving, counts dropped lines, and stops on a signal. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { freshScrape } from '../metrics/exposition.ts';
import { connect, eventually, request, temporaryFolder, type LogLine } from '../support.ts';
import { perl, program, start, token, type LogHub } from './hub-with-sink.ts';

const authorization = `Bearer ${token}`;
/** Length of a field in each log line, which stays below the 4 096 bytes that a pipe accepts atomically. */
const connectionId = 'x'.repeat(3_500);
/** Lines of 3.7 KB, more than a pipe or a socket buffers and a process queues. */
const floodLines = 500;

/** Makes the primary (ops port) and the worker (public port) log a line for each request. */
async function flood({ port, opsPort }: LogHub, lines = floodLines): Promise<void> {
  for (const to of [opsPort, port]) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
    for (let sent = 0; sent < lines; sent += 100) {
      const requests = Array.from({ length: 100 }, () =>
        request(to, 'DELETE', `/kill-connection/room/${connectionId}/w1`, {
          agent,
          headers: { authorization },
        }),
      );
      for (const { status } of await Promise.all(requests)) assert.equal(status, 404);
    }
    agent.destroy();
  }
}

async function dropped(hub: LogHub): Promise<{ primary: number; worker: number }> {
  const { samples } = await freshScrape(hub);
  const of = (worker: string) => samples.get(`wshub_log_lines_dropped_total{worker="${worker}"}`) ?? NaN;
  return { primary: of('primary'), worker: of('0') };
}

async function assertServes(hub: LogHub): Promise<void> {
  const answer = await request(hub.opsPort, 'GET', '/healthz');
  assert.equal(answer.status, 200);
  const [one, other] = [await connect(hub, 'room'), await connect(hub, 'room')];
  one.send({ text: 'hello' });
  assert.deepEqual(await other.next(), { text: 'hello' });
  await Promise.all([one.close(), other.close()]);
}

async function assertStops(hub: LogHub): Promise<void> {
  hub.child.kill('SIGTERM');
  assert.equal(await hub.ended, 0);
}

/** The lines in a log, each of which must be one. */
function linesOf(text: string): LogLine[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as LogLine);
}

/** The lines in a log of which a full disk has cut off some. */
function wholeLinesOf(text: string): LogLine[] {
  return text.split('\n').flatMap((line) => (/^\{.*\}$/.test(line) ? linesOf(line) : []));
}

const reportOf = (lines: readonly LogLine[], worker: string) =>
  lines.find((line) => line.worker === worker && line.msg.startsWith('log lines were dropped'));

describe('a log that cannot be written', () => {
  for (const sink of ['full', 'closed pipe', 'unread pipe', 'unread journal', 'terminal']) {
    it(`leaves the hub serving and its stop orderly: ${sink}`, async (t) => {
      const hub = await start(t, [...perl, sink, ...program], 'ignore');
      await flood(hub);
      const { primary, worker } = await dropped(hub);
      assert.ok(primary > 0 && worker > 0, `${primary} lines of the primary and ${worker} of the worker`);
      await assertServes(hub);
      await assertStops(hub);
    });
  }

  it('leaves the hub serving when its terminal is closed', async (t) => {
    const hub = await start(t, [...perl, 'terminal', ...program], 'ignore');
    hub.child.stdin?.end();
    await eventually(async () => {
      await flood(hub, 100);
      const { primary, worker } = await dropped(hub);
      return primary > 0 && worker > 0 ? true : undefined;
    }, 'dropped lines of both processes');
    await assertServes(hub);
    await assertStops(hub);
  });

  it('leaves the hub serving when the file has reached the size limit', async (t) => {
    const file = join(temporaryFolder(t), 'log');
    const limited = ['sh', '-c', `ulimit -f 64; exec "$@" >${file}`, 'sh', ...program];
    const hub = await start(t, limited, 'ignore');
    await flood(hub, 100);
    const { primary, worker } = await dropped(hub);
    assert.ok(primary + worker > 0, `${primary} lines of the primary and ${worker} of the worker`);
    await assertServes(hub);
    await assertStops(hub);
  });

  it('continues with the number of lost lines when the disk has room again', async (t) => {
    if (process.getuid?.() !== 0) {
      t.skip('only root can mount a file system to fill');
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), 'wshub-test-'));
    t.after(() => {
      spawnSync('umount', ['-l', folder]);
      rmSync(folder, { recursive: true });
    });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', folder]);
    if (mounted.status !== 0) {
      t.skip('tmpfs cannot be mounted here');
      return;
    }
    const file = join(folder, 'log');
    const filler = join(folder, 'filler');
    const hub = await start(t, program, openSync(file, 'a'));
    assert.throws(() => {
      writeFileSync(filler, Buffer.alloc(2 * 1024 * 1024));
    }, /ENOSPC/);
    await flood(hub, 200);
    const { primary, worker } = await dropped(hub);
    assert.ok(primary > 0 && worker > 0, `${primary} lines of the primary and ${worker} of the worker`);
    await assertServes(hub);
    rmSync(filler);
    const reported = await eventually(() => {
      const lines = wholeLinesOf(readFileSync(file, 'utf8'));
      const reports = ['primary', 'w1'].map((speaker) => reportOf(lines, speaker)?.['lines']);
      return reports.every((count) => count !== undefined) ? reports : undefined;
    }, 'the report of both processes');
    const { primary: p, worker: w } = await dropped(hub);
    assert.deepEqual(reported, [p, w]);
    await assertStops(hub);
    assert.equal(wholeLinesOf(readFileSync(file, 'utf8')).at(-1)?.msg, 'hub stopped');
  });

  it('continues with complete lines when its reader returns', async (t) => {
    const hub = await start(t, program, 'pipe');
    await flood(hub);
    await assertServes(hub);
    let text = '';
    hub.child.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await eventually(() => {
      const lines = linesOf(text.slice(0, text.lastIndexOf('\n')));
      return reportOf(lines, 'primary') && reportOf(lines, 'w1') ? true : undefined;
    }, 'the report of both processes');
    await assertStops(hub);
    await eventually(() => (text.includes('"hub stopped"') ? true : undefined), 'the last line');
    linesOf(text);
  });

  it('continues in a file that was moved', async (t) => {
    const file = join(temporaryFolder(t), 'log');
    const hub = await start(t, program, openSync(file, 'a'));
    renameSync(file, `${file}.1`);
    writeFileSync(file, '');
    await flood(hub, 100);
    assert.deepEqual(await dropped(hub), { primary: 0, worker: 0 });
    await assertServes(hub);
    await assertStops(hub);
    assert.equal(linesOf(readFileSync(`${file}.1`, 'utf8')).at(-1)?.msg, 'hub stopped');
  });
});
