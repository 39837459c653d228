/**
 * Debian's prometheus and promtool where they are missing: the package is downloaded and unpacked below .cache/,
 * not installed, so that no service is started and nothing outside this folder changes.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { prometheusTool } from '../metrics/exposition.ts';

const folder = join(import.meta.dirname, '../../.cache/prometheus');

/** @throws {Error} it is not there and cannot be had */
export function getPrometheus(): string {
  const there = prometheusTool('prometheus');
  if (there !== undefined) return there;
  mkdirSync(folder, { recursive: true });
  const run = (program: string, ...args: string[]) => {
    execFileSync(program, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  };
  try {
    try {
      run('apt-get', 'download', '-q', 'prometheus');
    } catch {
      run('apt-get', 'update', '-q'); // no lists yet, or old ones
      run('apt-get', 'download', '-q', 'prometheus');
    }
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb')) ?? '';
    run('dpkg', '-x', archive, '.');
  } catch (cause) {
    throw new Error('prometheus is not here and cannot be had: apt-get install prometheus', { cause });
  }
  return prometheusTool('prometheus') ?? '';
}

if (import.meta.main) process.stdout.write(`${getPrometheus()}\n`);
