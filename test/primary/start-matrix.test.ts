/**
 * Starts in faulty environments. Each ends in service, or in one line that says what to do and
 * exit code 1; `hub ready` is never followed by workers that cannot serve.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  existsSync,
  cpSync,
  realpathSync,
  symlinkSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { reservedPort } from '../reserved-port.ts';
import {
  connect,
  connectApart,
  eventually,
  HubProcess,
  runCli,
  temporaryFolder,
  type Environment,
  type LogLine,
} from '../support.ts';

const quiet = { WSHUB_HOST: '127.0.0.1', WSHUB_PORT: '0', WSHUB_OPS_PORT: '0', WSHUB_WORKERS: '2' };

async function assertRefused(line: RegExp, env: Environment): Promise<void> {
  const { code, stderr } = await runCli([], { ...quiet, WSHUB_LOG_LEVEL: 'silent', ...env });
  assert.match(stderr, /^wshub: [^\n]+\n$/, 'one line on standard error');
  assert.match(stderr, line);
  assert.equal(code, 1);
}

/** A handlers module that takes until `open` to load. */
function slowHandlers(t: TestContext): { file: string; open: () => void } {
  const folder = temporaryFolder(t);
  const [file, gate] = [join(folder, 'slow.mjs'), join(folder, 'gate')];
  writeFileSync(
    file,
    `import { existsSync } from 'node:fs';
     while (!existsSync(${JSON.stringify(gate)})) await new Promise((resolve) => setTimeout(resolve, 20));
     export default {};`,
  );
  return {
    file,
    open: () => {
      writeFileSync(gate, '');
    },
  };
}

/** A hub that has taken this port and whose workers are not ready. */
async function startingHub(t: TestContext, port: number, handlers: string): Promise<HubProcess> {
  const hub = new HubProcess(2, { WSHUB_PORT: String(port), WSHUB_HANDLERS: handlers }, []);
  t.after(() => hub.end());
  await hub.logged('worker forked');
  return hub;
}

async function assertServes(hub: HubProcess): Promise<void> {
  const { port, opsPort } = await hub.logged('hub ready');
  Object.assign(hub, { port, opsPort });
  const client = await connect(hub, 'room');
  client.send('to all');
  await client.close();
  assert.equal((await hub.admin('GET', '/state')).status, 200);
}

/** Returns why no other program can listen on the port; null: one can. */
function listenError(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code ?? 'error');
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(null);
      });
    });
  });
}

/** The command line of the hub, for starts by way of another program. */
const command = [process.execPath, join(import.meta.dirname, '../../src/cli.ts')];

/** A hub started by a shell command, in which "$@" is its own command line. */
function startByShell(t: TestContext, script: string, env: Environment = {}) {
  const environment = { PATH: process.env['PATH'], ...quiet, ...env };
  const child = spawn('sh', ['-c', script, 'sh', ...command], { env: environment });
  const log: (LogLine & { opsPort: number; port: number })[] = [];
  createInterface(child.stdout).on('line', (line) => log.push(JSON.parse(line) as (typeof log)[number]));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let exit: number | NodeJS.Signals | null = null;
  child.on('exit', (code, signal) => (exit = code ?? signal));
  t.after(async () => {
    child.kill('SIGTERM');
    await eventually(() => exit ?? undefined, 'the end of the hub');
  });
  const logged = (msg: string, members: Readonly<Record<string, unknown>> = {}) =>
    eventually(() => {
      assert.equal(exit, null, stderr);
      return log.find(
        (line) => line.msg === msg && Object.entries(members).every(([name, value]) => line[name] === value),
      );
    }, msg);
  return { child, logged, stderr: () => stderr };
}

describe('a start without /proc', () => {
  it('ends in service; metrics leave out the resident memory', async (t) => {
    const script = 'mount -t tmpfs none /proc && exec "$@"';
    if (spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /proc']).status !== 0) {
      t.skip('/proc cannot be covered here');
      return;
    }
    const hub = startByShell(t, `exec unshare -m sh -c '${script}' sh "$@"`);
    const { port, opsPort } = await hub.logged('hub ready');
    await (await connect({ port }, 'room')).close();
    const metrics = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
    assert.doesNotMatch(metrics, /^process_resident_memory_bytes\{/m);
    assert.match(metrics, /^process_cpu_seconds_total\{/m);
  });
});

describe('the variables of a service link named wshub', () => {
  it('are ignored with one warning; misspelled settings are still refused', async (t) => {
    const injected = {
      WSHUB_SERVICE_HOST: '10.0.0.1',
      WSHUB_SERVICE_PORT: '8080',
      WSHUB_SERVICE_PORT_HTTP: '8080',
      WSHUB_PORT: 'tcp://10.0.0.1:8080',
      WSHUB_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
      WSHUB_PORT_8080_TCP_PROTO: 'tcp',
      WSHUB_PORT_8080_TCP_PORT: '8080',
      WSHUB_PORT_8080_TCP_ADDR: '10.0.0.1',
      WSHUB_OPS_SERVICE_HOST: '10.0.0.2',
      WSHUB_OPS_PORT_9180_TCP: 'tcp://10.0.0.2:9180',
      WSHUB_NAME: '/web/wshub',
    };
    const config = join(temporaryFolder(t), 'wshub.json');
    writeFileSync(config, '{"port": 0}'); // the variable of this name is not a setting here
    const hub = new HubProcess(1, injected, ['--config', config]);
    t.after(() => hub.end());
    await hub.logged('hub ready');
    const warnings = hub.log.filter(({ level }) => level === 'warn');
    assert.deepEqual(
      warnings.map(({ msg, variables }) => [msg, (variables as string[]).toSorted()]),
      [['variables of a service link are ignored', Object.keys(injected).toSorted()]],
    );
    await assertRefused(/WSHUB_SERVICE is not a setting/, {
      ...injected,
      WSHUB_PORT: '0',
      WSHUB_SERVICE: 'x',
    });
  });
});

describe('a start in the cluster of another program', () => {
  it('says to use fork mode, and exits with a code of its own', () => {
    const code = `const cluster = require('node:cluster');
      cluster.setupPrimary({ exec: ${JSON.stringify(command[1])}, execArgv: [] });
      cluster.fork().on('exit', (code) => process.exit(code));`;
    const { status, stderr } = spawnSync(process.execPath, ['-e', code], {
      env: { ...process.env, ...quiet },
    });
    assert.match(String(stderr), /^wshub: the hub is a cluster itself: start it in fork mode [^\n]+\n$/);
    assert.equal(status, 78);
  });
});

describe('a build without development dependencies', () => {
  it('makes a hub that starts; without a build npm start names the fix', async (t) => {
    const [clone, root] = [temporaryFolder(t), join(import.meta.dirname, '../..')];
    for (const name of ['src', 'package.json', 'build.js']) {
      cpSync(join(root, name), join(clone, name), { recursive: true });
    }
    // The result of `npm ci --omit=dev`, as links: without the compiler.
    mkdirSync(join(clone, 'node_modules'));
    for (const name of readdirSync(join(root, 'node_modules'))) {
      if (name === 'typescript' || name === '.bin') continue;
      symlinkSync(realpathSync(join(root, 'node_modules', name)), join(clone, 'node_modules', name));
    }
    const npm = (...args: string[]) =>
      spawnSync('npm', args, { cwd: clone, encoding: 'utf8', env: { ...process.env, ...quiet } });
    const unbuilt = npm('start', '--silent');
    assert.equal(unbuilt.stderr, 'wshub: the hub is not built: run npm run build\n');
    assert.equal(unbuilt.status, 1);
    const built = npm('run', 'build', '--silent');
    assert.deepEqual([built.status, built.stderr], [0, '']);
    const hub = startByShell(t, `exec ${process.execPath} ${join(clone, 'dist/cli.js')}`);
    const { port } = await hub.logged('hub ready');
    await (await connect({ port }, 'room')).close();
  });
});

describe('check-config', () => {
  it('finds every error of a start, one line each, and binds no port', async (t) => {
    const folder = temporaryFolder(t);
    const file = (name: string, content: string) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const never = file('never.mjs', 'await new Promise((resolve) => setTimeout(resolve, 60_000));');
    const faults: [Environment, RegExp][] = [
      [{ WSHUB_JWT_SECRET_FILE: join(folder, 'none') }, /the token secret cannot be read: ENOENT/],
      [{ WSHUB_JWT_SECRET_FILE: file('short', 'short') }, /is shorter than 32 bytes/],
      [{ WSHUB_JWT_PUBLIC_KEY_FILE: file('key.pem', 'x') }, /contains no PEM public key/],
      [{ WSHUB_ADMIN_TOKEN_FILE: join(folder, 'none') }, /the admin token cannot be read: ENOENT/],
      [{ WSHUB_HANDLERS: join(folder, 'none.js') }, /handlers module .* cannot be loaded/],
      [{ WSHUB_HANDLERS: file('bad.mjs', 'export default 7;') }, /default export must be defineHandlers/],
      [{ WSHUB_HANDLERS: file('exit.mjs', 'process.exit(0);') }, /handlers module .* ended its process/],
      [{ WSHUB_HANDLERS: never }, /handlers module .* did not load within 10000 ms/],
      [{ WSHUB_PORT: '9000', WSHUB_OPS_PORT: '9000' }, /WSHUB_PORT and WSHUB_OPS_PORT are both 9000/],
      [{ WSHUB_RUNTIME_DIR: '/dev/null/x' }, /runtime directory .* is not a directory/],
    ];
    for (const [env, line] of faults) {
      const { code, stdout, stderr } = await runCli(['check-config'], { ...quiet, ...env });
      assert.match(stderr, /^wshub: [^\n]+\n$/, 'one line on standard error');
      assert.match(stderr, line);
      assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
    }
    const several = await runCli(['check-config'], { ...quiet, ...faults[0]?.[0], ...faults[3]?.[0] });
    assert.equal(several.stderr.split('\n').length, 3);
    const fresh = join(folder, 'fresh/run');
    const good = await runCli(['check-config'], {
      ...quiet,
      WSHUB_RUNTIME_DIR: fresh,
      WSHUB_HANDLERS: file('good.mjs', 'process.send(null); setInterval(() => {}, 1000); export default {};'),
      WSHUB_JWT_SECRET_FILE: file('secret', 'x'.repeat(32)),
    });
    assert.deepEqual(good, { code: 0, stdout: 'configuration OK\n', stderr: '' });
    assert.equal(existsSync(join(folder, 'fresh')), false, 'nothing was made');
  });
});

describe('a runtime directory', () => {
  const root = process.getuid?.() === 0;

  it('that others may write to gets a folder of mode 0700 within', async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o777);
    const hub = new HubProcess(2, { WSHUB_RUNTIME_DIR: folder, WSHUB_ADMIN_TOKEN: undefined }, []);
    t.after(() => hub.end());
    const own = join(folder, `wshub-${process.getuid?.()}`);
    assert.equal((await hub.logged('hub starts'))['runtimeDir'], own);
    assert.equal((await hub.logged('hub starts'))['adminToken'], join(own, 'admin.token'));
    await hub.logged('hub ready');
    assert.equal(statSync(own).mode & 0o777, 0o700);
    assert.equal(hub.log.filter(({ level }) => level === 'warn').length, 1);
    await assertRefused(/runtime directory .* is in use by another hub/, { WSHUB_RUNTIME_DIR: folder });
  });

  it('of another user works for any uid, if it can be written to, and else says how to get there', async (t) => {
    if (!root) {
      t.skip('only root can be another user');
      return;
    }
    const [open, closed] = [temporaryFolder(t), temporaryFolder(t)];
    chmodSync(open, 0o777);
    chmodSync(closed, 0o755);
    const start = (runtimeDir: string) =>
      startByShell(t, 'exec setpriv --reuid=1000700000 --clear-groups "$@"', {
        WSHUB_RUNTIME_DIR: runtimeDir,
      });
    const [good, bad] = [start(open), start(closed)];
    const closing = once(bad.child, 'close');
    await good.logged('hub ready');
    assert.equal(statSync(join(open, 'wshub-1000700000')).mode & 0o777, 0o700);
    assert.deepEqual(await closing, [1, null]);
    assert.match(
      bad.stderr(),
      /^wshub: runtime directory \S+ belongs to another user .*; fix: chown \d+ \S+\n$/,
    );
  });

  it('with the files of a killed hub is cleared, so that a reload succeeds', async (t) => {
    const folder = temporaryFolder(t);
    for (let n = 1; n <= 8; n += 1) {
      // Left by a killed process: a socket without a listener.
      const code = `require('net').createServer().listen('${join(folder, `w${n}.sock`)}', () => process.kill(process.pid, 9))`;
      spawnSync(process.execPath, ['-e', code]);
    }
    assert.equal(readdirSync(folder).length, 8);
    const hub = new HubProcess(2, { WSHUB_RUNTIME_DIR: folder }, []);
    t.after(() => hub.end());
    await assertServes(hub);
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    await assertServes(hub);
    assert.equal(
      hub.log.some(({ msg }) => msg === 'worker died'),
      false,
    );
  });

  it('is of one of several hubs that start at once', async (t) => {
    const folder = temporaryFolder(t);
    const hubs = Array.from({ length: 3 }, () => new HubProcess(1, { WSHUB_RUNTIME_DIR: folder }, []));
    t.after(() => Promise.all(hubs.map((hub) => hub.end().catch(() => undefined))));
    const fates = await Promise.all(
      hubs.map((hub) =>
        hub.logged('hub ready').then(
          () => 'serves',
          () => hub.stderr,
        ),
      ),
    );
    assert.equal(fates.filter((fate) => fate === 'serves').length, 1, fates.join());
    for (const fate of fates.filter((other) => other !== 'serves')) {
      assert.match(fate, /^wshub: runtime directory \S+ is in use by another hub\n$/);
    }
  });

  it('that was removed is made again for a dead worker and for a reload', async (t) => {
    const folder = join(temporaryFolder(t), 'run');
    const hub = new HubProcess(2, { WSHUB_RUNTIME_DIR: folder, WSHUB_ADMIN_TOKEN: undefined }, []);
    t.after(() => hub.end());
    const { port } = await hub.logged('hub ready');
    hub.port = Number(port);
    const token = readFileSync(join(folder, 'admin.token'), 'utf8');
    rmSync(folder, { recursive: true });
    const [first] = hub.workers;
    assert.ok(first);
    process.kill(first.pid, 'SIGKILL');
    await hub.logged('worker ready', { workerId: 'w3' });
    assert.equal(readFileSync(join(folder, 'admin.token'), 'utf8'), token);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    rmSync(folder, { recursive: true });
    hub.signal('SIGHUP');
    await hub.logged('reload done');
    const [one, other] = await connectApart(hub, 'room');
    one.send('linked');
    assert.equal(await other.next(), 'linked');
    await assertRefused(/is in use by another hub/, { WSHUB_RUNTIME_DIR: folder });
  });
});

describe('a working directory that was removed', () => {
  it('keeps no worker from being replaced, and no reload from ending', async (t) => {
    const [folder, config] = [join(temporaryFolder(t), 'release'), join(temporaryFolder(t), 'wshub.json')];
    mkdirSync(folder);
    writeFileSync(config, '{}');
    const env = { WSHUB_LOG_LEVEL: 'debug' };
    const hub = startByShell(t, `cd ${folder} && exec "$@" --config ${config}`, env);
    const { port } = await hub.logged('hub ready');
    rmSync(folder, { recursive: true });
    const { workerPid } = await hub.logged('worker forked');
    process.kill(Number(workerPid), 'SIGKILL');
    await hub.logged('worker ready', { workerId: 'w3' });
    hub.child.kill('SIGHUP');
    await hub.logged('reload done');
    await (await connect({ port }, 'room')).close();
  });
});

describe('a port', () => {
  it('is not both the public and the ops port, by any address that covers the other', async () => {
    const port = String(reservedPort());
    for (const host of ['127.0.0.1', '0.0.0.0', '::']) {
      await assertRefused(/WSHUB_PORT and WSHUB_OPS_PORT are both \d+; give each a port of its own/, {
        WSHUB_HOST: host,
        WSHUB_PORT: port,
        WSHUB_OPS_PORT: port,
      });
    }
    // Names are not looked up for the check of the settings: the second listen finds the first.
    await assertRefused(/WSHUB_OPS_PORT \d+ on localhost: the port is in use/, {
      WSHUB_PORT: port,
      WSHUB_OPS_PORT: port,
      WSHUB_OPS_HOST: 'localhost',
    });
  });

  it('is kept from programs and from hubs while the workers start', async (t) => {
    const [port, handlers] = [reservedPort(), slowHandlers(t)];
    const hub = await startingHub(t, port, handlers.file);
    assert.equal(await listenError(port), 'EADDRINUSE');
    await assertRefused(/WSHUB_PORT \d+ on 127\.0\.0\.1: the port is in use by another process/, {
      WSHUB_PORT: String(port),
    });
    handlers.open();
    await assertServes(hub);
    assert.equal(await listenError(port), 'EADDRINUSE');
  });

  it('goes to one of several hubs that start at once', async (t) => {
    const [port, handlers] = [reservedPort(), slowHandlers(t)];
    const env = { WSHUB_PORT: String(port), WSHUB_HANDLERS: handlers.file };
    const hubs = Array.from({ length: 3 }, () => new HubProcess(1, env, []));
    t.after(() => Promise.all(hubs.map((hub) => hub.end().catch(() => undefined))));
    const fates = await Promise.all(
      hubs.map((hub) =>
        hub.logged('worker forked').then(
          () => 'starts',
          () => hub.stderr,
        ),
      ),
    );
    handlers.open();
    assert.equal(fates.filter((fate) => fate === 'starts').length, 1, fates.join());
    for (const fate of fates.filter((other) => other !== 'starts')) {
      assert.match(fate, /^wshub: WSHUB_PORT \d+ on 127\.0\.0\.1: the port is in use by another process\n$/);
    }
    const winner = hubs[fates.indexOf('starts')];
    assert.ok(winner);
    await assertServes(winner);
  });

  it('on which a worker cannot listen ends the start', async (t) => {
    const file = join(temporaryFolder(t), 'deaf.mjs');
    writeFileSync(
      file,
      `import { Server } from 'node:net';
       const listen = Server.prototype.listen;
       Server.prototype.listen = function (first, ...rest) {
         const isPath = typeof first === 'string'; // the link socket
         if (isPath) return listen.call(this, first, ...rest);
         process.nextTick(() => this.emit('error', Object.assign(new Error('no'), { code: 'EADDRINUSE' })));
         return this;
       };
       export default {};`,
    );
    const hub = new HubProcess(2, { WSHUB_HANDLERS: file }, []);
    t.after(() => hub.end());
    assert.equal(await hub.ended(), 1);
    assert.match(
      hub.stderr,
      /^wshub: WSHUB_PORT 0 on 127\.0\.0\.1: the port is in use by another process\n$/,
    );
    assert.equal(
      hub.log.some(({ msg }) => msg === 'hub ready'),
      false,
    );
  });
});
