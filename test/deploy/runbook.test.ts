/** The runbook: every name in it exists in the source, and its commands work on a real hub. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { SignJWT } from 'jose';
import { settingsRows } from '../../src/config/settings.ts';
import { connect, hubFor, temporaryFolder } from '../support.ts';
import { table } from '../docs/pages.ts';
import { faultsOf, readRules, recordedBy } from '../metrics/promql.ts';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);
const runbook = readFileSync(new URL('deploy/RUNBOOK.md', root), 'utf8');
const source = globSync('src/**/*.ts', { cwd: root })
  .map((file) => readFileSync(new URL(file, root), 'utf8'))
  .join('');
const [preparation = [], ...blocks] = fences('sh');

/** The lines of each block in a language. */
function fences(language: string): string[][] {
  const found = runbook.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'));
  return Array.from(found, ([, text = '']) => text.trim().split('\n'));
}

describe('deploy/RUNBOOK.md', () => {
  it('asks Prometheus only for what there is', () => {
    const recorded = recordedBy(readRules(new URL('deploy/prometheus/wshub.rules.yml', root)));
    const queries = fences('promql').flat();
    assert.ok(queries.length > 10);
    for (const query of queries) assert.deepEqual(faultsOf(query, recorded), [], query);
  });

  it('names only log lines, members, reasons and settings that there are', () => {
    const lines = [...runbook.matchAll(/"msg":"([^"]+)"/g)].map(([, message = '']) => message);
    assert.ok(lines.length > 5);
    for (const message of lines) assert.ok(source.includes(`'${message}')`), `no log line "${message}"`);
    const settings = new Set(settingsRows().map(({ env }) => env));
    for (const [name] of runbook.matchAll(/WSHUB_[A-Z_]+/g)) assert.ok(settings.has(name), name);
    const foreign = new Set(['SIGKILL', 'targets.yml', 'code', 'signal']);
    const prose = runbook.replaceAll(/^```[^]*?^```/gm, '');
    for (const [, word = ''] of prose.matchAll(/`([a-zA-Z_.]+)`/g)) {
      const known = foreign.has(word) || settings.has(word) || new RegExp(`\\b${word}\\b`).test(source);
      assert.ok(known, `nothing is called ${word}`);
    }
  });

  it('defines its shell functions for systemd, PM2 and Docker', () => {
    const rows = table('deploy/RUNBOOK.md', 'managers');
    const used = new Set(
      blocks.flat().flatMap((line) => /^(log|status|reload|restart|hub|kill_worker)\b/.exec(line)?.[1] ?? []),
    );
    assert.equal(used.size, 6);
    for (const column of [0, 1, 2]) {
      const cells = rows.map((row) => row[column] ?? '');
      assert.ok(cells.some((cell) => cell.startsWith('TOKEN=')));
      for (const name of used)
        assert.ok(
          cells.some((cell) => cell.startsWith(`${name}() {`)),
          name,
        );
      assert.equal(spawnSync('bash', ['-n', '-c', cells.join('\n')]).status, 0, cells.join('\n'));
    }
  });

  it('has commands that work', async (t) => {
    if (spawnSync('curl', ['--version']).status !== 0) {
      t.skip('there is no curl here');
      return;
    }
    const secret = join(temporaryFolder(t), 'secret');
    writeFileSync(secret, 'a secret of the tests, long enough');
    const hub = await hubFor(t, { workers: 2, env: { WSHUB_JWT_SECRET_FILE: secret } });
    const user = 'anna';
    const token = await new SignJWT({ sub: user, channels: [{ name: '*', can: ['subscribe'] }] })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(readFileSync(secret));
    const api = preparation.find((line) => line.startsWith('api()')) ?? '';
    const commands = blocks.flat().filter((line) => /^(api|curl) /.test(line));
    assert.ok(commands.length > 8);
    for (const command of commands) {
      const clients = await Promise.all([0, 1].map(() => connect(hub, `news?token=${token}`)));
      const [client] = clients;
      assert.ok(client);
      const { connectionId, workerId } = client;
      const variables = {
        OPS: `127.0.0.1:${hub.opsPort}`,
        PUBLIC: `127.0.0.1:${hub.port}`,
        TOKEN: hub.token,
        CHANNEL: 'news',
        CONNECTION_ID: connectionId,
        WORKER_ID: workerId,
        USER_ID: user,
      };
      const env = { PATH: process.env['PATH'], ...variables };
      const { stdout } = await run('bash', ['-c', `${api}\n${command}`], { env });
      assert.doesNotThrow(() => JSON.parse(stdout) as unknown, command);
      for (const { ws } of clients) ws.terminate();
    }
  });
});
