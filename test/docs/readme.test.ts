/** README.md against the source: its tables name what the source names, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { settingsRows } from '../../src/config/settings.ts';
import { errors } from '../../src/platform/errors.ts';
import { catalogue, type Metric } from '../../src/metrics/catalogue.ts';
import { closeCodes } from '../../src/protocol/plain/close-codes.ts';
import { dashboards } from '../../dashboards/src/dashboards.ts';
import { readme, table } from './readme-table.ts';

describe('README.md', () => {
  it('lists the close codes that the hub uses', () => {
    const rows = table('close-codes').map(([code, reason]) => [reason, Number(code)]);
    assert.deepEqual(Object.fromEntries(rows), closeCodes);
  });

  it('lists the error codes with their HTTP status', () => {
    const rows = table('error-codes').map(([code, status]) => [code, Number(status)]);
    const wanted = Object.entries(errors).map(([code, { status }]) => [code, status]);
    assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(wanted));
  });

  it('lists the settings as the source has them', () => {
    const wanted = settingsRows().map(({ env, name, default: value, help }) =>
      [env, name, value, help].map((cell) => cell.replaceAll('`', '')),
    );
    assert.deepEqual(table('settings'), wanted, 'run: npm run readme');
  });

  it('lists the metrics as the catalogue has them', () => {
    const wanted = Object.entries<Metric>(catalogue).map(([name, { type, labels, help }]) => [
      name,
      [type, ...(labels.length > 0 ? [labels.join(', ')] : [])].join(': '),
      help,
    ]);
    assert.deepEqual(table('metrics'), wanted);
  });

  it('lists the panels of each dashboard with the question that each answers', () => {
    for (const { uid, title, description, rows } of dashboards) {
      const panels = rows.flatMap((row) => row.panels);
      assert.deepEqual(
        table(`panels: ${uid}`),
        panels.map((panel) => [panel.title, panel.description]),
      );
      assert.ok(readme.includes(`**${title}**: ${description}`), title);
    }
  });
});
