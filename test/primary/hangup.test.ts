/** What a SIGHUP means to hubs that were started from a terminal. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { perl, program, start } from '../platform/hub-with-sink.ts';
import { connect, eventually, temporaryFolder } from '../support.ts';

const ignored = '"SIGHUP of a closed terminal, or after nohup: ignored"';

/** Waits for a text in a file. */
async function written(file: string, text: string): Promise<void> {
  await eventually(() => (readFileSync(file, 'utf8').includes(text) ? true : undefined), text);
}

describe('SIGHUP', () => {
  it('is ignored after nohup', async (t) => {
    const folder = temporaryFolder(t);
    const [file, pidFile] = [join(folder, 'log'), join(folder, 'pid')];
    const script = `nohup "$@" >${file} & echo $! >${pidFile}; wait $!`;
    const hub = await start(t, ['bash', '-c', script, 'bash', ...program], 'ignore');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    process.kill(pid, 'SIGHUP');
    await written(file, ignored);
    process.kill(pid, 'SIGTERM');
    assert.equal(await hub.ended, 0);
    assert.doesNotMatch(readFileSync(file, 'utf8'), /"reload begins"/);
  });

  it('ends a hub that logs to a terminal', async (t) => {
    const hub = await start(t, [...perl, 'terminal', ...program], 'ignore');
    const client = await connect(hub, 'room');
    hub.child.kill('SIGHUP');
    assert.deepEqual(await client.next(), { status: 'draining', reconnect: { minMs: 1_000, maxMs: 10_000 } });
    assert.equal((await client.end()).code, 1001);
    assert.equal(await hub.ended, 0);
  });

  it('of a terminal that is closed ends the hub on it', async (t) => {
    const hub = await start(t, ['script', '-qc', program.join(' '), '/dev/null'], 'ignore');
    const client = await connect(hub, 'room');
    hub.child.kill('SIGKILL');
    assert.equal((await client.end()).code, 1001);
  });

  it('of a terminal that is closed leaves a hub alone that logs elsewhere, and the next one reloads it', async (t) => {
    const folder = temporaryFolder(t);
    const [file, pidFile] = [join(folder, 'log'), join(folder, 'pid')];
    const command = `echo $$ >${pidFile}; exec ${program.join(' ')} >${file}`;
    const hub = await start(t, ['script', '-qc', command, '/dev/null'], 'ignore', {
      SHELL: '/bin/sh',
      WSHUB_DRAIN_SPREAD_MS: '0',
    });
    const pid = Number(readFileSync(pidFile, 'utf8'));
    t.after(() => process.kill(pid, 'SIGKILL'));
    hub.child.kill('SIGKILL');
    await written(file, ignored);
    process.kill(pid, 'SIGHUP');
    await written(file, '"reload done"');
  });
});
