/** The installed package under a real systemd. Run by boot.ts, in the network of the booted container. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { stopBudgetMs } from '../../src/primary/drain-orders.ts';
import { spanMs } from '../../src/cli/doctor/managers.ts';
import { readSettings } from '../../src/config/reader.ts';
import { connect, request } from '../support.ts';
import { hub, inside, opsPort, probe, property, shell, until, untilReady, workersOf } from './container.ts';
import { Commands } from './commands.ts';

interface JournalEntry {
  PRIORITY: string;
  MESSAGE: string;
}

async function journal(): Promise<JournalEntry[]> {
  const text = await inside('journalctl', '-u', 'wshub.service', '-o', 'json', '--no-pager');
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as JournalEntry] : []));
}

/** Resolves when another primary than this one serves. */
async function restarted(pid: string): Promise<void> {
  await until('it has restarted', async () => !['0', pid].includes(await property('MainPID')));
  await untilReady();
  await (await connect(hub, 'a')).close();
}

describe('the package under systemd', () => {
  const commands = new Commands('docs/deploy/systemd.md', 'systemd');
  commands.take('npm ci'); // test:pm2 runs it in a fresh clone
  commands.take('npm run package'); // boot.ts has run it

  it('installs and starts: the hub is ready when that returns', async () => {
    await shell(commands.take('sudo dpkg -i'));
    assert.equal(await property('ActiveState'), 'active');
    assert.equal(await probe('/readyz'), 200);
    assert.match(await inside('wshub', '--version'), /^\d+\.\d+\.\d+$/);
    assert.match(await property('StatusText'), /workers serve/);
  });

  it('has units that systemd finds nothing wrong with, and that expose little', async () => {
    for (const unit of ['wshub.service', 'wshub.socket']) {
      assert.equal(await inside('systemd-analyze', 'verify', `/lib/systemd/system/${unit}`), '', unit);
    }
    for (const unit of ['wshub.service', 'wshub@a.service']) {
      const security = await inside('systemd-analyze', 'security', '--no-pager', unit);
      const exposure = Number(/Overall exposure level[^\d]*([\d.]+)/.exec(security)?.[1]);
      assert.ok(exposure <= 1.5, `exposure ${exposure} of ${unit}`);
    }
  });

  it('gives a stop more time than its budget', async () => {
    const budget = stopBudgetMs(readSettings({}));
    for (const unit of ['wshub.service', 'wshub@a.service']) {
      const patience = spanMs(await property('TimeoutStopUSec', unit));
      assert.ok(
        patience !== null && patience > budget,
        `${unit}: ${patience} ms, the budget is ${budget} ms`,
      );
    }
  });

  it('is found well by the doctor while it runs', async () => {
    const doctor = commands.take('sudo wshub doctor');
    const text = await shell(doctor);
    assert.match(text, /^ok +WSHUB_PORT 8080 is reserved for the hub by its socket unit$/m);
    assert.match(text, /^ok +WSHUB_OPS_PORT 9180 is in use by the running hub$/m);
    // What the hub was really given: a container may have less than the unit asks for.
    const limits = await inside('cat', `/proc/${await property('MainPID')}/limits`);
    const openFiles = /^Max open files +(\d+)/m.exec(limits)?.[1];
    assert.match(text, new RegExp(`^\\w+ +${openFiles} open files per process`, 'm'));
    assert.match(text, /^ok +systemd allows 20000 ms for a stop/m);

    const impatient = `${doctor.replace('wshub', 'WSHUB_STOP_SPREAD_MS=20000 wshub')} || [ $? = 1 ]`;
    const [, fix = ''] = /^bad +systemd kills a stop.*\n +fix: (.*)$/m.exec(await shell(impatient)) ?? [];
    await shell(fix);
    assert.match(await shell(impatient), /^ok +systemd allows 35000 ms for a stop/m);
    await shell('rm -r /etc/systemd/system/wshub.service.d && systemctl daemon-reload');
  });

  it('is seen by top', async () => {
    const client = await connect(hub, 'a');
    assert.match(await shell(commands.take('sudo wshub top')), /connections 1 +channels 1/);
    await client.close();
  });

  it('gives the credential to the hub and to no other user', async () => {
    const token = await shell(commands.take('sudo cat /etc/wshub/admin.token'));
    const answer = await request(opsPort, 'GET', '/state', { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    const credential = '/run/credentials/wshub.service/admin.token';
    assert.equal(await inside('cat', credential), token);
    for (const file of ['/etc/wshub/admin.token', credential]) {
      await assert.rejects(inside('setpriv', '--reuid=65534', '--clear-groups', 'cat', file), /denied/);
    }
    const [worker = ''] = await workersOf(await property('MainPID'));
    const env = await inside('cat', `/proc/${worker}/environ`);
    assert.doesNotMatch(env, /NOTIFY_SOCKET|WATCHDOG_|LISTEN_/);
    assert.doesNotMatch(env, new RegExp(token));
  });

  it('logs JSON with its priority to the journal', async () => {
    const printed = await shell(commands.take('journalctl'));
    assert.ok(printed.split('\n').some((line) => line.startsWith('{') && line.includes('"hub ready"')));
    const [worker = ''] = await workersOf(await property('MainPID'));
    await inside('kill', '-9', worker);
    await until('that is logged', async () => (await journal()).some(({ MESSAGE }) => / died/.test(MESSAGE)));
    await untilReady();
    const priorities = (await journal()).flatMap(({ PRIORITY, MESSAGE }) => {
      if (!MESSAGE.startsWith('{')) return [];
      const { msg, level } = JSON.parse(MESSAGE) as { msg: string; level: string };
      return ['hub ready', 'worker died'].includes(msg) ? [`${msg}: ${level} ${PRIORITY}`] : [];
    });
    assert.deepEqual(priorities, ['hub ready: info 6', 'worker died: error 3']);
  });

  it('keeps serving on `systemctl reload`', async () => {
    await inside('sh', '-c', `echo '{"drainSpreadMs": 2000}' > /etc/wshub/wshub.json`);
    const client = await connect(hub, 'a');
    const pid = await property('MainPID');
    await shell(commands.take('sudo systemctl reload'));
    assert.equal(((await client.next()) as { status: string }).status, 'draining');
    while (client.closed === undefined) await (await connect(hub, 'b')).close();
    assert.equal(client.closed.code, 1012);
    await untilReady();
    assert.equal(await property('MainPID'), pid);
  });

  it('asks clients for tokens once there is a secret, which only root can read', async () => {
    const jwt = new Commands('docs/deploy/systemd.md', 'systemd-jwt');
    await shell(jwt.take('head'));
    await shell(jwt.take('sudo systemctl restart'));
    assert.deepEqual(jwt.left, []);
    assert.equal(await inside('stat', '-c', '%A %U', '/etc/wshub/jwt.secret'), '-rw------- root');
    await assert.rejects(connect(hub, 'a'), /401/);
    const secret = new TextEncoder().encode(await inside('cat', '/etc/wshub/jwt.secret'));
    const token = await new SignJWT({ channels: [{ name: 'a', can: ['subscribe'] }] })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(secret);
    await (await connect(hub, `a?token=${token}`)).close();
    const doctor = 'wshub doctor --config /etc/wshub/wshub.json';
    assert.match(await shell(doctor), /^ok +\/etc\/wshub\/jwt\.secret \(WSHUB_JWT_SECRET_FILE\)/m);

    // A setting may name the file, too.
    await shell(`echo '{"jwtSecretFile": "jwt.secret", "jwtAudience": "hub"}' > /etc/wshub/wshub.json`);
    await shell('wshub check-config --config /etc/wshub/wshub.json && systemctl restart wshub');
    await assert.rejects(connect(hub, `a?token=${token}`), /401/);

    // Another file of root's cannot be read by the unit, and the doctor's fix changes that.
    await shell('mv /etc/wshub/jwt.secret /etc/wshub/key');
    await shell(`echo '{"jwtSecretFile": "key"}' > /etc/wshub/wshub.json`);
    const [, fix = ''] =
      /^bad +\/etc\/wshub\/key .*\n +fix: (.*)$/m.exec(await shell(`${doctor} || true`)) ?? [];
    await shell(fix);
    await shell("echo '{}' > /etc/wshub/wshub.json && systemctl restart wshub");
    await (await connect(hub, `a?token=${token}`)).close();

    await shell('rm /etc/wshub/jwt.secret /etc/wshub/key && systemctl restart wshub');
    await (await connect(hub, 'a')).close();
  });

  it('runs handlers of /etc/wshub, with packages of their own', async () => {
    const handlers = new Commands('docs/deploy/systemd.md', 'systemd-handlers');
    await shell(handlers.take('sudo mkdir'));
    await shell(handlers.take('sudo cp'));
    await shell(handlers.take('echo'));
    await shell('mkdir -p /etc/wshub/handlers/node_modules/greeting');
    await shell("echo 'export const text = `hi`' > /etc/wshub/handlers/node_modules/greeting/index.mjs");
    await shell(
      `echo '{"name": "greeting", "exports": "./index.mjs"}' > /etc/wshub/handlers/node_modules/greeting/package.json`,
    );
    const greet = 'import { text } from "greeting"; if (text !== "hi") throw new Error(text);';
    await shell(`echo '${greet}' >> /etc/wshub/handlers/index.ts`);
    await shell(`echo '{"handlers": "handlers/index.ts", "drainSpreadMs": 0}' > /etc/wshub/wshub.json`);
    await shell('wshub check-config --config /etc/wshub/wshub.json');
    const client = await connect(hub, 'a');
    await shell(handlers.take('sudo systemctl reload'));
    assert.deepEqual(handlers.left, []);
    assert.equal((await client.end()).code, 1012);
    const other = await connect(hub, 'a');
    other.send({ type: 'chat', text: 'hello' });
    const { text, from } = (await other.next()) as Record<string, unknown>;
    assert.deepEqual([text, from], ['hello', other.connectionId]);
    await other.close();
    await shell(`echo '{"drainSpreadMs": 2000}' > /etc/wshub/wshub.json`);
    // Starts are counted: StartLimitBurst.
    await shell('rm -r /etc/wshub/handlers && systemctl reset-failed wshub && systemctl reload wshub');
  });

  it('queues who connects while it restarts', async () => {
    const client = await connect(hub, 'a');
    const progress = { done: false };
    const restart = shell(commands.take('sudo systemctl restart')).then(() => (progress.done = true));
    assert.equal((await client.end()).code, 1001);
    // No process listens for a while from now on; every connect must succeed nevertheless.
    do {
      const newcomer = await connect(hub, 'b').catch((error: unknown) => error as Error);
      // A handshake that had reached the old hub is refused by it or cut off; the connect itself never is.
      if (newcomer instanceof Error) assert.doesNotMatch(newcomer.message, /ECONNREFUSED/);
      else newcomer.ws.terminate();
    } while (!progress.done);
    await restart;
    await (await connect(hub, 'c')).close();
  });

  it('comes back after its primary was killed', async () => {
    const pid = await property('MainPID');
    await inside('kill', '-9', pid);
    await restarted(pid);
  });

  it('is restarted by the watchdog when its primary hangs', async () => {
    const pid = await property('MainPID');
    const restarts = Number(await property('NRestarts'));
    await inside('kill', '-STOP', pid);
    await restarted(pid);
    assert.equal(Number(await property('NRestarts')), restarts + 1);
    assert.match(await inside('journalctl', '-u', 'wshub.service', '--no-pager'), /Watchdog timeout/);
  });

  it('serves on after all workers died at once, with the passed socket', async () => {
    const pid = await property('MainPID');
    await inside('kill', '-9', ...(await workersOf(pid)));
    await (await connect(hub, 'a')).close(); // it waits in the socket until there is a worker again
    assert.equal(await property('MainPID'), pid);
  });

  it('drains on a stop and ends clean', async () => {
    const client = await connect(hub, 'a');
    await shell(commands.take('sudo systemctl stop'));
    assert.equal((await client.end()).code, 1001);
    assert.equal(await property('Result'), 'success');
    assert.equal(await property('ActiveState'), 'inactive');
    assert.equal(await property('ActiveState', 'wshub.socket'), 'inactive');
    assert.match((await journal()).map(({ MESSAGE }) => MESSAGE).join('\n'), /"hub stopped"/);
  });

  it('is ready when `systemctl start` returns, and has its socket kept again', async () => {
    await shell(commands.take('sudo systemctl start'));
    assert.equal(await probe('/readyz'), 200);
    assert.equal(await property('ActiveState', 'wshub.socket'), 'active');
    await (await connect(hub, 'a')).close();
    assert.deepEqual(commands.left, []);
  });
});
