/** The Kubernetes manifests against the API's own schemas and against the hub's settings, without a cluster. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import { Deployment } from 'kubernetes-models/apps/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Secret, Service } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { readSettings } from '../../src/config/reader.ts';
import { stopBudgetMs } from '../../src/primary/drain-orders.ts';

const folder = join(import.meta.dirname, '../../deploy/kubernetes');

interface Manifest {
  apiVersion: string;
  kind: string;
  [field: string]: unknown;
}

function manifests(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(join(folder, file), 'utf8')).map(
    (document) => document.toJS() as Manifest,
  );
}

const models = { ConfigMap, Deployment, PodDisruptionBudget, Secret, Service, ServiceMonitor };

/** Fields that nothing has read: a validator reads every field that its schema has, so the rest are misspelt. */
function recordReads(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...value };
  for (const key of Object.keys(copy)) {
    const place = `${path}/${key}`;
    const child = recordReads((copy as Record<string, unknown>)[key], place, unread);
    unread.add(place);
    Object.defineProperty(copy, key, {
      enumerable: true,
      get: () => {
        unread.delete(place);
        return child;
      },
    });
  }
  return copy;
}

async function misspelt(manifest: Manifest): Promise<string[]> {
  const unread = new Set<string>();
  const Model = models[manifest.kind as keyof typeof models] as
    (new (data: never) => { validate(): Promise<void> | void }) | undefined;
  assert.ok(Model, `no schema for ${manifest.kind}`);
  const { apiVersion, kind, ...fields } = manifest;
  assert.deepEqual([apiVersion, kind], Object.values(new Model({} as never)).slice(0, 2));
  const model = new Model({} as never);
  unread.clear();
  for (const [name, value] of Object.entries(fields)) {
    Object.defineProperty(model, name, { enumerable: true, value: recordReads(value, name, unread) });
  }
  await model.validate();
  return [...unread];
}

describe('the Kubernetes manifests', () => {
  for (const file of ['wshub.yaml', 'servicemonitor.yaml']) {
    it(`of ${file} follow the schemas of the API`, async () => {
      for (const manifest of manifests(file)) {
        assert.deepEqual(await misspelt(manifest), [], manifest.kind);
      }
    });
  }

  it('are refused with a field that no schema has, or of another type', async () => {
    const [service] = manifests('wshub.yaml').filter(({ kind }) => kind === 'Service');
    assert.ok(service);
    const spec = service['spec'] as object;
    assert.deepEqual(await misspelt({ ...service, spec: { ...spec, selectr: { a: 'b' } } }), [
      'spec/selectr/a',
      'spec/selectr',
    ]);
    await assert.rejects(misspelt({ ...service, spec: { ...spec, ports: [{ port: 'public' }] } }));
  });

  it('give a stop more time than its budget, and settings that the hub takes', () => {
    const all = manifests('wshub.yaml');
    const text = (
      all.find(({ kind }) => kind === 'ConfigMap') as { data?: Record<string, string> } | undefined
    )?.data?.['wshub.json'];
    assert.ok(text);
    const settings = readSettings({}, { folder: '/etc/wshub', name: 'wshub.json', text });
    const deployment = new Deployment(all.find(({ kind }) => kind === 'Deployment') as never);
    const pod = deployment.spec?.template.spec;
    assert.ok(pod);
    assert.ok((pod.terminationGracePeriodSeconds ?? 0) * 1_000 > stopBudgetMs(settings));
    assert.equal(pod.enableServiceLinks, false);
  });
});
