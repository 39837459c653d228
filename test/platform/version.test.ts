import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { revision, version } from '../../src/platform/version.ts';

const root = join(import.meta.dirname, '../..');

it('what runs is known by its version, and in a checkout by its commit', () => {
  assert.match(version, /^\d+\.\d+\.\d+/);
  const isCheckout = existsSync(join(root, '.git/HEAD')); // a worktree's .git is a file
  assert.match(revision, isCheckout ? /^[0-9a-f]{40}$/ : /^unknown$/);
});
