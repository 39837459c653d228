/** The file of every process manager allows a stop more time than its budget. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { readSettings } from '../../src/config/reader.ts';
import { stopBudgetMs } from '../../src/primary/drain-orders.ts';

const budgetMs = stopBudgetMs(readSettings({}));

/** The file, and the line with its stop timeout. */
const files: [file: string, patience: RegExp, unitMs: number][] = [
  ['ecosystem.config.js', /^ *kill_timeout: ([\d_]+),$/m, 1],
  ['deploy/systemd/wshub.service', /^TimeoutStopSec=(\d+)$/m, 1_000],
  ['deploy/systemd/wshub@.service', /^TimeoutStopSec=(\d+)$/m, 1_000],
  ['deploy/compose.yaml', /^ *stop_grace_period: (\d+)s$/m, 1_000],
  ['deploy/Dockerfile', /--stop-timeout (\d+)/, 1_000],
];

describe('the time that a stop is given', () => {
  for (const [file, patience, unitMs] of files) {
    it(`is more than its budget in ${file}`, () => {
      const found = patience.exec(readFileSync(join(import.meta.dirname, '../..', file), 'utf8'))?.[1];
      assert.ok(
        Number(found?.replaceAll('_', '')) * unitMs > budgetMs,
        `${found}, the budget is ${budgetMs} ms`,
      );
    });
  }
});

describe('the two units', () => {
  it('differ in what makes an instance, and in nothing else', () => {
    const unit = (name: string) =>
      readFileSync(join(import.meta.dirname, '../../deploy/systemd', name), 'utf8');
    const instance = unit('wshub@.service')
      .replace(/^#.*\n/, '')
      .replace(' (%i)', '')
      .replace('%i.json', 'wshub.json')
      .replace('%i.token', 'admin.token')
      .replace('%i.jwt.secret', 'jwt.secret')
      .replaceAll('wshub-%i', 'wshub')
      .replace(/^# Where a drop-in .*\nWants=.*\n/m, '')
      .replace('Also=wshub@%i.socket\n', '');
    const socketed = unit('wshub.service')
      .replace(/^# Starting the hub .*\nRequires=.*\n/m, '')
      .replace('Also=wshub.socket\n', '');
    assert.equal(instance, socketed);
  });
});
