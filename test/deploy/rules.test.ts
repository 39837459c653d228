/** Prometheus' configuration, rules, alerts and runbook agree with each other and with the catalogue. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';
import { promtool } from '../metrics/exposition.ts';
import { faultsOf, readRules, recordedBy } from '../metrics/promql.ts';

const deploy = new URL('../../deploy/', import.meta.url);
const recording = readRules(new URL('prometheus/wshub.rules.yml', deploy));
const alerts = readRules(new URL('prometheus/wshub.alerts.yml', deploy));
const runbook = readFileSync(new URL('RUNBOOK.md', deploy), 'utf8');
const runbookUrl = 'https://wshub.example/deploy/RUNBOOK.md';
/** Sections behind those of the alerts. */
const otherSections = ['Capacity', 'A leaked token'];
const cases = readFileSync(new URL('prometheus/wshub.alerts.test.yml', deploy), 'utf8');

describe('deploy/prometheus', () => {
  it('has the documented alerts', () => {
    assert.deepEqual(
      alerts.map(({ name }) => name),
      [
        'WshubDown',
        'WshubWorkersMissing',
        'WshubWorkerUnresponsive',
        'WshubWorkerRestartLoop',
        'WshubDeliverySloFastBurn',
        'WshubDeliverySloSlowBurn',
        'WshubMessageDrops',
        'WshubSlowConsumers',
        'WshubBackpressureMemory',
        'WshubEventLoopSaturated',
        'WshubRelayDegraded',
        'WshubReconnectStorm',
        'WshubConnectionsNearLimit',
        'WshubFdExhaustion',
        'WshubReloadFailed',
        'WshubPrimaryErrors',
        'WshubBrokerDown',
        'WshubHistoryNotWritten',
        'WshubHistoryEvicted',
        'WshubEngineDown',
      ],
    );
  });

  it('names only metrics and labels of the catalogue', () => {
    const recorded = recordedBy(recording);
    for (const { name, expr } of [...recording, ...alerts]) {
      assert.deepEqual(faultsOf(expr, recorded), [], `${name}: ${expr}`);
    }
  });

  it('selects hubs by metric names, for any name of the scrape job', () => {
    for (const { name, expr } of [...recording, ...alerts]) {
      if (name !== 'WshubDown') assert.doesNotMatch(expr, /\b(job|instance)\s*[=!]/, name);
    }
  });

  it('has severity, summary, description, runbook link, a firing and a silent test case for each alert', () => {
    for (const { name, text } of alerts) {
      for (const part of [
        'severity:',
        'summary:',
        'description:',
        `runbook_url: '${runbookUrl}#${name.toLowerCase()}'`,
      ]) {
        assert.ok(text.includes(part), `${name} has no ${part}`);
      }
      assert.ok(cases.includes(`: ${name} fires'`), `${name} has no case in which it fires`);
      assert.ok(cases.includes(`: ${name} is silent'`), `${name} has no case in which it is silent`);
    }
  });

  it('has a runbook section for each alert, each with meaning, first look and remedy', () => {
    const sections = runbook.split(/^## /m).slice(1);
    assert.deepEqual(
      sections.map((section) => section.split('\n')[0]),
      [...alerts.map(({ name }) => name), ...otherSections],
    );
    for (const section of sections.slice(0, alerts.length)) {
      for (const part of ['**What it means.**', '**First look.**', '**Remedy.**']) {
        assert.ok(section.includes(part), `${section.split('\n')[0] ?? ''} lacks ${part}`);
      }
    }
  });

  it('finds what is wrong with a query', () => {
    assert.deepEqual(faultsOf('wshub_nothing{job="x"}'), ['wshub_nothing is not in the catalogue']);
    assert.deepEqual(faultsOf('wshub_channels{user="x"}'), ['wshub_channels has no label user']);
    assert.deepEqual(faultsOf('sum by (user) (wshub_channels)'), ['groups by user, which nothing has']);
    assert.equal(faultsOf('sum(wshub_channels').length, 1);
  });

  it('satisfies promtool', (t) => {
    const cwd = fileURLToPath(new URL('prometheus/', deploy));
    for (const args of [
      ['check', 'config', 'prometheus.yml'],
      ['check', 'rules', 'wshub.rules.yml', 'wshub.alerts.yml'],
      ['test', 'rules', 'wshub.alerts.test.yml'],
    ]) {
      const opinion = promtool(args, { cwd });
      if (!opinion) {
        t.skip('there is no promtool here');
        return;
      }
      assert.equal(opinion.status, 0, `promtool ${args.join(' ')}: ${opinion.output}`);
    }
  });
});
