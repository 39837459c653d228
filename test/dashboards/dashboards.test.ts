/** The dashboards: committed files equal generated ones, every panel has a description, and queries use existing metrics. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { catalogue, type MetricName } from '../../src/metrics/catalogue.ts';
import { faultsOf, fillVariables, parseQuery, readRules } from '../metrics/promql.ts';
import { dashboardJson } from '../../dashboards/src/build.ts';
import { annotations, dashboards } from '../../dashboards/src/dashboards.ts';

const folder = new URL('../../dashboards/', import.meta.url);
const alertsFile = new URL('../../deploy/prometheus/wshub.alerts.yml', import.meta.url);

interface Target {
  refId: string;
  expr: string;
  legendFormat: string;
  datasource: { uid: string };
  instant?: boolean;
}

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  datasource?: { type: string; uid: string };
  fieldConfig?: { defaults?: { unit?: string; thresholds?: { steps: unknown[] } } };
  options?: {
    legend?: { showLegend?: boolean; displayMode?: string; calcs?: string[] };
    reduceOptions?: { calcs: string[] };
  };
  targets?: Target[];
  links?: { title: string; url: string }[];
  collapsed?: boolean;
  panels?: Panel[];
}

interface Dashboard {
  uid: string;
  tags: string[];
  schemaVersion: number;
  links: { type: string; tags: string[]; includeVars: boolean; keepTime: boolean; placement?: string }[];
  templating: { list: { name: string; type: string }[] };
  annotations: { list: { name: string; expr: string; datasource: { uid: string }; enable: boolean }[] };
  panels: Panel[];
}

const committed = readdirSync(folder)
  .filter((name) => name !== 'src')
  .map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }));
const parsed = committed.map(({ text }) => JSON.parse(text) as Dashboard);
const allPanels = (panels: Panel[]): Panel[] =>
  panels.flatMap((panel) => (panel.type === 'row' ? (panel.panels ?? []) : [panel]));

describe('dashboards/', () => {
  it('holds what is generated, and nothing else', () => {
    assert.deepEqual(
      committed.map(({ name }) => name).sort(),
      dashboards.map(({ uid }) => `${uid}.json`).sort(),
    );
    for (const spec of dashboards) {
      const file = committed.find(({ name }) => name === `${spec.uid}.json`);
      assert.equal(file?.text, dashboardJson(spec), `${spec.uid}: npm run dashboards writes it anew`);
    }
  });

  it('lets each panel say what it shows, in which unit, from which data source', () => {
    for (const { uid, panels } of parsed) {
      const ids = new Set<number>();
      for (const panel of allPanels(panels)) {
        const name = `${uid}: ${panel.title}`;
        assert.ok(panel.title.length > 2, name);
        assert.ok((panel.description ?? '').length > 10, `${name} has no description`);
        assert.ok(panel.fieldConfig?.defaults?.unit, `${name} has no unit`);
        assert.equal(panel.datasource?.uid, '$datasource', name);
        assert.ok(panel.targets && panel.targets.length > 0, `${name} asks nothing`);
        assert.ok(!ids.has(panel.id), `${name}: id ${panel.id} is not its own`);
        ids.add(panel.id);
        for (const target of panel.targets) {
          assert.equal(target.datasource.uid, '$datasource', name);
          assert.ok(target.legendFormat.includes('{{'), `${name} has no legend`);
        }
      }
    }
  });

  it('names its lines, and shows numbers that are of now and red only when it says so', () => {
    for (const { uid, panels } of parsed) {
      for (const { type, title, options, fieldConfig, targets = [] } of allPanels(panels)) {
        const name = `${uid}: ${title}`;
        if (type === 'timeseries') {
          assert.ok(options?.legend?.showLegend, name);
          assert.equal(options.legend.displayMode, 'table', name);
          assert.deepEqual(options.legend.calcs, ['lastNotNull', 'max', 'mean'], name);
        } else if (type !== 'heatmap') {
          assert.equal(type, 'stat', name);
          assert.ok((fieldConfig?.defaults?.thresholds?.steps.length ?? 0) > 0, name);
          assert.deepEqual(options?.reduceOptions?.calcs, ['lastNotNull'], name);
          // Over a range a hub that is gone shows its last value, unless the query leaves it out.
          const isLive = ({ instant, expr }: Target) => instant === true || expr.includes('@ end()');
          assert.ok(targets.every(isLive), name);
        }
      }
    }
  });

  it('sums rates, never the other way round, and percentiles over what it keeps le of', () => {
    for (const { uid, panels } of parsed) {
      for (const { title, targets = [] } of allPanels(panels)) {
        for (const { expr } of targets) {
          const name = `${uid}: ${title}: ${expr}`;
          assert.doesNotMatch(expr, /(rate|increase)\((sum|max|min|avg)/, name);
          if (!expr.includes('histogram_quantile')) continue;
          assert.match(expr, /^histogram_quantile\(0\.\d+, sum by \([^)]*\ble\) \(rate\(\w+_bucket\{/, name);
        }
      }
    }
  });

  it('asks only for metrics and labels of the catalogue, of the chosen hubs, over the scrape’s interval', () => {
    for (const { uid, panels } of parsed) {
      for (const { title, targets = [] } of allPanels(panels)) {
        for (const { expr } of targets) {
          const name = `${uid}: ${title}: ${expr}`;
          assert.deepEqual(faultsOf(expr), [], name);
          const selectors = expr.match(/\{[^}]*\}/g) ?? [];
          assert.equal(selectors.length, parseQuery(fillVariables(expr)).selectors.length, name);
          for (const selector of selectors) {
            assert.ok(selector.startsWith('{job=~"$job", instance=~"$instance"'), name);
          }
          for (const range of expr.match(/rate\([^[]*\[[^\]]*\]/g) ?? []) {
            assert.ok(range.endsWith('[$__rate_interval]'), name);
          }
        }
      }
    }
  });

  it('shows every metric of the catalogue somewhere', () => {
    const text = committed.map((file) => file.text).join('');
    for (const name of Object.keys(catalogue) as MetricName[]) assert.ok(text.includes(name), name);
  });

  it('goes from the general to the specific, and from each to the others', () => {
    for (const { uid, tags, links, schemaVersion, templating, panels } of parsed) {
      assert.deepEqual(
        templating.list.map(({ name }) => name),
        ['datasource', 'job', 'instance'],
      );
      const rows = panels.filter(({ type }) => type === 'row');
      assert.ok(rows.length > 1, uid);
      assert.ok(!rows.some(({ collapsed }) => collapsed), `${uid}: a collapsed row hides faults`);
      assert.ok(tags.includes('wshub'), uid);
      assert.deepEqual(
        links.map(({ type, tags: to, includeVars, keepTime }) => [type, to, includeVars, keepTime]),
        [['dashboards', ['wshub'], true, true]],
        uid,
      );
      assert.equal(links[0]?.placement, undefined, `${uid} shows its links`);
      assert.ok(schemaVersion <= 39, `${uid} is of a form that Grafana 10 loads`);
    }
  });

  it('marks reloads, restarts and new versions, with queries that exist', () => {
    for (const {
      uid,
      annotations: { list },
    } of parsed) {
      const own = list.filter(({ datasource }) => datasource.uid === '$datasource');
      assert.deepEqual(
        own.map(({ name, expr, enable }) => ({ name, expr, enable })),
        annotations.map(({ name, expr }) => ({ name, expr, enable: true })),
        uid,
      );
      for (const { expr } of own) assert.deepEqual(faultsOf(expr), [], expr);
    }
  });

  it('opens with the health of the hub, and links each panel of an alert to its section of the runbook', () => {
    const [row, ...panels] = parsed.find(({ uid }) => uid === 'wshub-overview')?.panels ?? [];
    assert.equal(row?.title, 'Is it healthy?');
    assert.deepEqual(
      panels.slice(0, 4).map(({ title }) => title),
      ['Reachable', 'Ready of expected workers', 'Error budget left', 'Alerts firing'],
    );
    const linked = dashboards
      .flatMap(({ rows }) => rows.flatMap((one) => one.panels))
      .flatMap(({ runbook }) => runbook ?? []);
    for (const { name } of readRules(alertsFile)) assert.ok(linked.includes(name), `no panel for ${name}`);
    const links = parsed.flatMap((dashboard) =>
      allPanels(dashboard.panels).flatMap((panel) => panel.links ?? []),
    );
    assert.equal(links.length, linked.length);
    for (const { title, url } of links) {
      assert.ok(url.endsWith(`RUNBOOK.md#${title.replace('Runbook: ', '').toLowerCase()}`), url);
    }
  });
});
