/**
 * The commands of the pages on Docker and Kubernetes, without an engine or a cluster: stand-ins for `docker` and `kubectl` record
 * their arguments, which are compared with the Dockerfile and the manifests. Commands inside the container run on this machine.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { readSettings } from '../../src/config/reader.ts';
import { stopBudgetMs } from '../../src/primary/drain-orders.ts';
import { Commands } from '../system/commands.ts';
import { connect, hubFor, runCli, temporaryFolder, type Environment } from '../support.ts';
import { code, read, root } from './pages.ts';

const dockerfile = read('deploy/Dockerfile');
const composeServices = ['hub', 'prometheus', 'grafana'];

/** Runs a command with stand-ins for both programs. @returns the arguments of the one that it calls */
function recorded(t: TestContext, command: string): { program: string; args: string[] } {
  const folder = temporaryFolder(t);
  const record = join(folder, 'record');
  for (const program of ['docker', 'kubectl']) {
    const script = `#!${process.execPath}
require('node:fs').writeFileSync(${JSON.stringify(record)}, JSON.stringify({ program: '${program}', args: process.argv.slice(2) }));`;
    writeFileSync(join(folder, program), script, { mode: 0o755 });
  }
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}` };
  execFileSync('bash', ['-euc', command], { cwd: root, env });
  return JSON.parse(readFileSync(record, 'utf8')) as { program: string; args: string[] };
}

const flags = ['-d', '--rm', '--read-only'];
const options = ['--name', '-p', '-v', '--stop-timeout', '--tmpfs'];

/** The arguments of `docker run`: options with their values, the image, and the command in the container. */
function parseRun([verb, ...args]: readonly string[]) {
  assert.equal(verb, 'run');
  const values = new Map<string, string[]>();
  let at = 0;
  while (args[at]?.startsWith('-')) {
    const [name = '', value = ''] = args.slice(at);
    assert.ok([...flags, ...options].includes(name), `docker run has the option ${name}`);
    values.set(name, [...(values.get(name) ?? []), value]);
    at += flags.includes(name) ? 1 : 2;
  }
  return { values, image: args[at], command: args.slice(at + 1) };
}

/** Checks the options of a container that serves clients against the Dockerfile. */
function assertServes(values: ReadonlyMap<string, string[]>): void {
  const exposed = /^EXPOSE (.*)$/m.exec(dockerfile)?.[1]?.split(' ') ?? [];
  const published = values.get('-p')?.map((port) => port.split(':').at(-1) ?? '') ?? [];
  assert.ok(published.length > 0 && published.every((port) => exposed.includes(port)), published.join());
  assert.ok(Number(values.get('--stop-timeout')?.[0]) * 1_000 > stopBudgetMs(readSettings({})));
  assert.ok(values.has('--read-only'));
  const runtimeDir = /WSHUB_RUNTIME_DIR=(\S+)/.exec(dockerfile)?.[1];
  assert.deepEqual(values.get('--tmpfs'), [`${runtimeDir}:uid=1000,gid=1000,mode=0700`]); // `node` is user 1000
}

/** The arguments of the hub, if the command runs it; the image has `sh` beside `node`, but no `kill` and no `curl`. */
function hubArgs([program, script, ...args]: readonly string[], folder: string): string[] {
  assert.deepEqual([program, script], ['node', 'dist/cli.js']);
  return args.map((argument) => argument.replace('/etc/wshub', folder));
}

/** A folder for /etc/wshub: settings, with the files that the example of docker.md names. */
function settingsFolder(t: TestContext, settings: string): string {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, 'handlers'));
  writeFileSync(join(folder, 'wshub.json'), settings);
  copyFileSync(join(root, 'deploy/example-handlers.ts'), join(folder, 'handlers/index.ts'));
  writeFileSync(join(folder, 'handlers/package.json'), '{"type": "module"}');
  writeFileSync(join(folder, 'admin.token'), 'a-token-of-the-tests');
  writeFileSync(join(folder, 'jwt.secret'), 'a secret of the tests, long enough');
  return folder;
}

describe('docs/deploy/docker.md', () => {
  it('builds the image, and runs it read-only with ports and a stop timeout that fit', (t) => {
    const commands = new Commands('docs/deploy/docker.md', 'docker');
    const build = recorded(t, commands.take('docker build')).args;
    assert.deepEqual(build, ['build', '-f', 'deploy/Dockerfile', '-t', 'wshub', '.']);
    assert.ok(existsSync(join(root, 'deploy/Dockerfile')));
    const { values, image, command } = parseRun(recorded(t, commands.take('docker run')).args);
    assertServes(values);
    assert.deepEqual([values.get('--name'), image, command], [['wshub'], 'wshub', []]);
    const exec = recorded(t, commands.take('docker exec')).args;
    assert.deepEqual(exec, ['exec', 'wshub', 'cat', '/run/wshub/admin.token']);
    for (const verb of ['logs', 'stop', 'rm']) {
      assert.deepEqual(recorded(t, commands.take(`docker ${verb}`)).args, [verb, 'wshub']);
    }
    assert.deepEqual(commands.left, []);
  });

  it('runs a hub with the settings, handlers and secrets of its example', async (t) => {
    const commands = new Commands('docs/deploy/docker.md', 'docker-settings');
    const folder = settingsFolder(t, code('docs/deploy/docker.md', 'example: container settings'));
    const mount = ['-v', [`${root}/etc:/etc/wshub:ro`]];

    const check = parseRun(recorded(t, commands.take('docker run')).args);
    assert.deepEqual(['-v', check.values.get('-v')], mount);
    const checked = await runCli(hubArgs(check.command, folder));
    assert.deepEqual(checked, { code: 0, stdout: 'configuration OK\n', stderr: '' });

    const { values, command } = parseRun(recorded(t, commands.take('docker run')).args);
    assertServes(values);
    assert.deepEqual(['-v', values.get('-v')], mount);
    const hub = await hubFor(t, { args: hubArgs(command, folder) });
    await assert.rejects(connect(hub, 'a'), /401/);
    assert.equal((await hub.admin('GET', '/state')).status, 200);

    const [, , ...doctor] = recorded(t, commands.take('docker exec')).args;
    const ports = { WSHUB_PORT: String(hub.port), WSHUB_OPS_PORT: String(hub.opsPort) };
    const report = await runCli(hubArgs(doctor, folder), ports, folder);
    assert.match(report.stdout, /^ok +clients need a token$/m);

    const reload = recorded(t, commands.take('docker kill')).args;
    assert.deepEqual(reload, ['kill', '--signal', 'HUP', 'wshub']);
    assert.deepEqual(commands.left, []);
  });

  it('starts the services of compose.yaml', (t) => {
    const commands = new Commands('docs/deploy/docker.md', 'compose');
    const [file] = parseAllDocuments(read('deploy/compose.yaml')).map(
      (document) => document.toJS() as unknown,
    );
    const { services } = file as { services: Record<string, unknown> };
    assert.deepEqual(Object.keys(services), composeServices);
    const verbs = [...commands.left].map((command) => {
      const [compose, option, path, ...rest] = recorded(t, commands.take('docker compose')).args;
      assert.deepEqual([compose, option, path], ['compose', '-f', 'deploy/compose.yaml'], command);
      return rest.join(' ');
    });
    assert.deepEqual(verbs, ['up -d --build', 'exec hub node dist/cli.js top', 'down']);
    assert.deepEqual(commands.left, []);
  });
});

interface Manifest {
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec?: {
    template?: {
      spec: {
        containers: {
          image: string;
          env: { name: string; value: string }[];
          ports: { containerPort: number }[];
        }[];
      };
    };
  };
}

describe('docs/deploy/kubernetes.md', () => {
  const manifests = parseAllDocuments(read('deploy/kubernetes/wshub.yaml')).map(
    (document) => document.toJS() as Manifest,
  );
  const named = (kind: string) => manifests.find((one) => one.kind === kind && one.metadata.name === 'wshub');
  const container = named('Deployment')?.spec?.template?.spec.containers[0];
  assert.ok(container);

  it('builds and pushes the image that the Deployment runs', (t) => {
    const commands = new Commands('docs/deploy/kubernetes.md', 'kubernetes-image');
    const build = recorded(t, commands.take('docker build')).args;
    assert.deepEqual(build, ['build', '-f', 'deploy/Dockerfile', '-t', container.image, '.']);
    assert.deepEqual(recorded(t, commands.take('docker push')).args, ['push', container.image]);
    assert.deepEqual(commands.left, []);
  });

  it('applies manifests that exist, and waits for the Deployment', (t) => {
    const commands = new Commands('docs/deploy/kubernetes.md', 'kubernetes-apply');
    for (const file of ['wshub.yaml', 'servicemonitor.yaml']) {
      const [verb, option, path = ''] = recorded(t, commands.take('kubectl apply')).args;
      assert.deepEqual([verb, option, path], ['apply', '-f', `deploy/kubernetes/${file}`]);
      assert.ok(existsSync(join(root, path)));
    }
    const wait = recorded(t, commands.take('kubectl rollout')).args;
    assert.deepEqual(wait, ['rollout', 'status', 'deployment/wshub']);
    assert.deepEqual(commands.left, []);
  });

  it('checks the settings of the ConfigMap, reloads, and reaches the ops port', async (t) => {
    const commands = new Commands('docs/deploy/kubernetes.md', 'kubernetes');
    const folder = settingsFolder(t, named('ConfigMap')?.data?.['wshub.json'] ?? '');
    for (const [name, value] of Object.entries(named('Secret')?.stringData ?? {})) {
      writeFileSync(join(folder, name), value);
    }
    const env: Environment = Object.fromEntries(
      container.env.map(({ name, value }) => [name, value.replace(/^\/run\/(secrets\/)?wshub/, folder)]),
    );
    const inPod = (beginning: string) => {
      const { args } = recorded(t, commands.take(beginning));
      assert.deepEqual(args.slice(0, 3), ['exec', 'deploy/wshub', '--']);
      return args.slice(3);
    };
    const { stdout, stderr } = await runCli(hubArgs(inPod('kubectl exec'), folder), {
      ...env,
      WSHUB_RUNTIME_DIR: temporaryFolder(t),
    });
    assert.equal(`${stderr}${stdout}`, 'configuration OK\n');
    assert.deepEqual(inPod('kubectl exec'), ['sh', '-c', 'kill -HUP 1']);
    assert.deepEqual(recorded(t, commands.take('kubectl logs')).args, ['logs', 'deploy/wshub']);
    assert.deepEqual(hubArgs(inPod('kubectl exec'), ''), ['top', '--config', '/wshub.json']);
    const [verb, target, ports = ''] = recorded(t, commands.take('kubectl port-forward')).args;
    assert.deepEqual([verb, target], ['port-forward', 'deploy/wshub']);
    assert.ok(container.ports.some(({ containerPort }) => ports.endsWith(`:${containerPort}`)));
    assert.deepEqual(commands.left, []);
  });
});
