/** The broker under the primary: there only if a namespace needs it, replaced when it dies or hangs, ended last. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { freshScrape } from '../metrics/exposition.ts';
import {
  eventually,
  hubFor,
  request,
  runCli,
  startHub,
  temporaryFolder,
  type HubProcess,
} from '../support.ts';

const history = { name: 'news', historySize: 10, historyTtl: '1h' };

function environment(...namespaces: object[]): Record<string, string> {
  return { WSHUB_NAMESPACES: JSON.stringify(namespaces), WSHUB_STOP_SPREAD_MS: '0' };
}

function brokerPid(hub: HubProcess): number {
  const pids = hub.log.filter(({ msg }) => msg === 'broker ready').map((line) => Number(line['brokerPid']));
  return pids.at(-1) ?? 0;
}

/** A broker other than this one is ready. */
function nextBroker(hub: HubProcess, before: number): Promise<number> {
  return eventually(() => {
    const pid = brokerPid(hub);
    return pid === before || pid === 0 ? undefined : pid;
  }, 'another broker');
}

function isGone(pid: number): boolean {
  return !existsSync(`/proc/${pid}`);
}

const isReady = async (hub: HubProcess) => (await request(hub.opsPort, 'GET', '/readyz')).status === 200;

async function hubWithFile(t: TestContext, namespaces: object[]) {
  const file = join(temporaryFolder(t), 'wshub.json');
  const write = (given: object[]) => {
    writeFileSync(file, JSON.stringify({ namespaces: given }));
  };
  write(namespaces);
  const env = { WSHUB_STOP_SPREAD_MS: '0', WSHUB_DRAIN_SPREAD_MS: '0' };
  return { hub: await hubFor(t, { workers: 1, env, args: ['--config', file] }), write };
}

describe('the broker', () => {
  it('is not started without a namespace that needs it', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: environment({ name: 'chat', echo: false }) });
    assert.equal(brokerPid(hub), 0);
    const { samples } = await freshScrape(hub);
    assert.deepEqual(
      [samples.get('wshub_broker_expected'), samples.get('wshub_history_write_failing')],
      [0, 0],
    );
    assert.deepEqual(
      readdirSync(hub.runtimeDir).filter((name) => /broker|history/.test(name)),
      [],
    );
  });

  it('serves before the hub is ready, and another one takes over when it is killed', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: environment(history) });
    const first = brokerPid(hub);
    assert.ok(first > 0);
    process.kill(first, 'SIGKILL');
    await hub.logged('broker died', { signal: 'SIGKILL' });
    await nextBroker(hub, first);
    await hub.logged('history loaded', { state: 'continued' });
    const { samples } = await freshScrape(hub);
    assert.equal(samples.get('wshub_broker_restarts_total{reason="crash"}'), 1);
    assert.deepEqual(
      ['expected', 'up'].map((name) => samples.get(`wshub_broker_${name}`)),
      [1, 1],
    );
    assert.ok((samples.get('wshub_history_file_bytes') ?? 0) > 0);
    assert.ok((samples.get('process_resident_memory_bytes{worker="broker"}') ?? 0) > 0);
    await eventually(async () => ((await isReady(hub)) ? true : undefined), 'readiness');
  });

  it('is killed and replaced when it hangs', async (t) => {
    const hub = await hubFor(t, { workers: 1, env: environment(history) });
    const first = brokerPid(hub);
    process.kill(first, 'SIGSTOP');
    await eventually(async () => ((await isReady(hub)) ? undefined : true), 'the end of readiness');
    await hub.logged('broker died', { reason: 'hang' });
    await nextBroker(hub, first);
    assert.ok(isGone(first));
  });

  it('starts and ends with the namespaces of a reload', async (t) => {
    const { hub, write } = await hubWithFile(t, []);
    const reloaded = async (times: number) => {
      hub.signal('SIGHUP');
      await eventually(
        () => (hub.log.filter(({ msg }) => msg === 'reload done').length === times ? true : undefined),
        'the reload',
      );
    };
    write([history]);
    await reloaded(1);
    const pid = brokerPid(hub);
    assert.ok(pid > 0);
    write([{ ...history, historySize: 20 }]);
    await reloaded(2);
    assert.equal(brokerPid(hub), pid, 'it stays over a reload');
    write([]);
    await reloaded(3);
    await eventually(() => (isGone(pid) ? true : undefined), 'the end of the broker');
    assert.equal(hub.log.filter(({ msg }) => msg === 'broker died').length, 0);
  });

  it('ends last, with a file that can be loaded even after a crash of the machine', async (t) => {
    const stateDir = join(temporaryFolder(t), 'made', 'by', 'the', 'hub');
    const env = { ...environment(history), WSHUB_STATE_DIR: stateDir };
    for (const state of ['fresh', 'continued']) {
      const hub = await startHub({ workers: 1, env });
      await hub.logged('history loaded', { state, stateDir });
      const pid = brokerPid(hub);
      await hub.end();
      assert.ok(isGone(pid));
      assert.equal(hub.log.filter(({ level }) => level === 'error' || level === 'warn').length, 0);
    }
  });

  it('continues from its file after every process was killed', async (t) => {
    const env = { ...environment(history), WSHUB_STATE_DIR: temporaryFolder(t) };
    const first = await startHub({ workers: 1, env });
    process.kill(brokerPid(first), 'SIGKILL');
    first.killAll();
    await first.ended();
    const hub = await hubFor(t, { workers: 1, env });
    await hub.logged('history loaded', { state: 'continued' });
  });

  it('ends when the primary is killed', async (t) => {
    const hub = await startHub({ workers: 1, env: environment(history) });
    t.after(() => {
      hub.killAll();
    });
    const pid = brokerPid(hub);
    hub.signal('SIGKILL');
    await hub.ended();
    await eventually(() => (isGone(pid) ? true : undefined), 'the end of the broker');
  });

  it('refuses a state directory that cannot be used, at the start and by check-config', async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const env = { ...environment(history), WSHUB_STATE_DIR: file, WSHUB_PORT: '0', WSHUB_OPS_PORT: '0' };
    for (const args of [['start'], ['check-config']]) {
      const { code, stderr } = await runCli(args, env);
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`state directory: ${file} is a file`));
    }
    assert.equal((await runCli(['check-config'], { ...env, WSHUB_NAMESPACES: '[]' })).code, 0);
  });

  it('refuses a state directory that another hub uses', async (t) => {
    const stateDir = temporaryFolder(t);
    const env = { ...environment(history), WSHUB_STATE_DIR: stateDir };
    await hubFor(t, { workers: 1, env });
    const { code, stderr } = await runCli(['start'], { ...env, WSHUB_PORT: '0', WSHUB_OPS_PORT: '0' });
    assert.equal(code, 1);
    assert.match(stderr, /the broker cannot be started: state directory .* is in use by another hub/);
  });
});
