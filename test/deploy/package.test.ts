/** The Debian package, as far as its build script shows: its documents link only to files that it contains. */
import assert from 'node:assert/strict';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'node:test';
import { pages, read } from '../docs/pages.ts';

const script = read('deploy/debian/build.sh');

/** Paths of the repository that are beside the documents in the package. */
const shipped = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'LICENSE',
  'docs',
  'deploy',
  'dashboards',
];

/** Paths below these that the script removes. */
const removed = (/cd "\$share\/deploy" && rm -r ([\w. ]+)\)/.exec(script)?.[1] ?? '')
  .split(' ')
  .map((name) => `deploy/${name}`);

describe('the documents in the Debian package', () => {
  it('are copied by the build script', () => {
    for (const name of shipped) assert.match(script, new RegExp(`\\b${name.replace('.', '\\.')}\\b`), name);
    assert.ok(removed.length > 1);
  });

  it('link only to files of the package', () => {
    const isIn = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);
    for (const page of pages) {
      const prose = read(page).replaceAll(/^ *```[^]*?^ *```$/gm, '');
      for (const [, link = ''] of prose.matchAll(/\]\(([^)\s#]+)[^)\s]*\)/g)) {
        if (/^https?:/.test(link)) continue;
        const target = normalize(join(dirname(page), link));
        const isShipped = shipped.some((path) => isIn(target, path)) && !isIn(target, 'dashboards/src');
        assert.ok(isShipped && !removed.some((path) => isIn(target, path)), `${page} links to ${link}`);
      }
    }
  });
});
