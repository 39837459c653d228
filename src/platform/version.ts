/** The version in package.json, which is beside both `src` and `dist`. */
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

export const { version } = manifest;

/** The commit, if the hub runs from a git checkout; otherwise `unknown`. */
export const revision = readRevision();

function readRevision(): string {
  try {
    const git = new URL('../../.git/', import.meta.url);
    const head = readFileSync(new URL('HEAD', git), 'utf8').trim();
    if (!head.startsWith('ref: ')) return head;
    const ref = head.slice('ref: '.length);
    try {
      return readFileSync(new URL(ref, git), 'utf8').trim();
    } catch {
      const packed = readFileSync(new URL('packed-refs', git), 'utf8').split('\n');
      return packed.find((line) => line.endsWith(` ${ref}`))?.split(' ')[0] ?? 'unknown';
    }
  } catch {
    return 'unknown';
  }
}
