/** A runtime directory that becomes full or read-only under a running hub: on a small tmpfs of the test's own. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { assertNoGrowth, holdings, watched } from '../fuzz/resources.ts';
import { connectApart, connectWhere, eventually, runCli, startHub, type HubProcess } from '../support.ts';

/** A tmpfs with room for a few files; undefined where it may not be mounted. */
function tinyFileSystem(t: TestContext): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'wshub-test-'));
  const options = 'size=64k,nr_inodes=12,mode=0700';
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'wshub-test', folder]);
  t.after(() => {
    if (status === 0) spawnSync('umount', ['--lazy', folder]);
    rmdirSync(folder);
  });
  if (status !== 0) {
    t.skip(`a tmpfs cannot be mounted here: ${String(stderr).trim()}`);
    return undefined;
  }
  return folder;
}

/** Uses up all inodes; returns a function that frees them. */
function fill(folder: string): () => void {
  const files: string[] = [];
  for (;;) {
    const file = join(folder, `filler-${Math.random()}`);
    try {
      writeFileSync(file, '');
    } catch {
      return () => {
        for (const name of files) rmSync(name);
      };
    }
    files.push(file);
  }
}

/** Breaks the directory, kills a worker, and repairs the directory: the other workers serve all the time. */
async function survive(hub: HubProcess, spoil: () => () => void): Promise<void> {
  const held = await holdings(hub);
  const [one, other] = await connectApart(hub, 'room');
  const third = await connectWhere(hub, 'room', (id) => id !== one.workerId && id !== other.workerId);
  const repair = spoil();
  one.send('linked as before');
  assert.equal(await other.next(), 'linked as before');
  const failures = () =>
    hub.log.filter(({ msg, failedStarts }) => msg === 'worker died' && failedStarts !== 0).length;
  const before = failures();
  process.kill(hub.pidOf(third.workerId), 'SIGKILL');
  await hub.logged('worker died', { workerId: third.workerId });
  const repairAgain = spoil(); // its socket has left a free place
  await eventually(() => (failures() > before ? true : undefined), 'a successor that cannot start');
  for (let n = 0; n < 50; n += 1) {
    one.send(n);
    assert.equal(await other.next(), n);
  }
  repair();
  repairAgain();
  const successor = await eventually(
    () =>
      hub.workers.find(({ workerId }) => ![one.workerId, other.workerId, third.workerId].includes(workerId)),
    'a successor',
  );
  const again = await connectWhere(hub, 'room', (id) => id === successor.workerId);
  one.send('and with you');
  assert.equal(await other.next(), 'and with you');
  assert.equal(await again.next(), 'and with you');
  await Promise.all([one, other, again].map((client) => client.close()));
  await assertNoGrowth(hub, held);
}

describe('a runtime directory', () => {
  it('that is full affects no client of a living worker, and a dead one is replaced when there is space', async (t) => {
    const folder = tinyFileSystem(t);
    if (folder === undefined) return;
    const hub = await startHub({ workers: 3, env: { ...watched, WSHUB_RUNTIME_DIR: folder } });
    await survive(hub, () => fill(folder)).finally(() => hub.end());
  });

  it('that is read-only affects no client of a living worker', async (t) => {
    const folder = tinyFileSystem(t);
    if (folder === undefined) return;
    const hub = await startHub({ workers: 3, env: { ...watched, WSHUB_RUNTIME_DIR: folder } });
    const remount = (mode: 'ro' | 'rw') => execFileSync('mount', ['-o', `remount,${mode}`, folder]);
    await survive(hub, () => {
      remount('ro');
      return () => remount('rw');
    }).finally(() => hub.end());
  });

  it('that is full at the start stops it with a sentence', async (t) => {
    const folder = tinyFileSystem(t);
    if (folder === undefined) return;
    fill(folder);
    const { code, stderr } = await runCli(['start'], {
      WSHUB_RUNTIME_DIR: folder,
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
      WSHUB_LOG_LEVEL: 'silent',
    });
    assert.equal(code, 1);
    assert.match(stderr, /^wshub: .*(runtime directory|ENOSPC).*\n$/);
  });
});
