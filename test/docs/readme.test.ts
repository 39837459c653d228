/** The documentation against the source: its tables name what the source names, and nothing else; its links resolve. */
import assert from 'node:assert/strict';
import { existsSync, globSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { limitSettings } from '../../src/config/limit-settings.ts';
import { readSettings } from '../../src/config/reader.ts';
import { settingsRows } from '../../src/config/settings.ts';
import { catalogue } from '../../src/metrics/catalogue.ts';
import { errors } from '../../src/platform/errors.ts';
import { closeCodes } from '../../src/protocol/plain/close-codes.ts';
import { generatedPages, regenerated } from '../../scripts/reference.ts';
import { code, pages, read, root, rowsOf, table } from './pages.ts';

/** Variables with the hub's prefix that are no settings of it. */
const otherVariables = ['WSHUB_DASHBOARDS'];

describe('README.md', () => {
  const readme = read('README.md');

  it('is short and narrow', () => {
    const lines = readme.trimEnd().split('\n');
    assert.ok(lines.length <= 220, `${lines.length} lines`);
    for (const line of lines) assert.ok(line.length <= 100, line);
  });

  it('has the commands of the first minute', () => {
    assert.match(readme, /^npm ci && npm start$/m);
    assert.match(readme, /`npm cit`/);
    assert.equal(scriptsOf('start'), 'node dist/cli.js');
    assert.match(scriptsOf('test'), /test:node/); // npm cit runs it after an install
  });

  it('has a benchmark of ten rows, with the figures of docs/performance.md', () => {
    const behind = (text: string, heading: string) => text.slice(text.indexOf(`\n## ${heading}\n`));
    const rows = rowsOf(behind(readme, 'Benchmark'));
    assert.equal(rows.length, 10);
    const results = rowsOf(behind(read('docs/performance.md'), 'Results')).map((row) => row.join(' '));
    for (const [, figure, ...values] of rows) {
      const isMeasured = (row: string) => values.every((value) => row.includes(value.replace(/ m?s$/, '')));
      assert.ok(results.some(isMeasured), `${figure ?? ''}: ${values.join(', ')}`);
    }
  });

  it('leads to every page and to the OpenAPI description', () => {
    for (const page of [...pages, 'docs/openapi.yaml']) {
      const isListed = readme.includes(`](${page}`);
      assert.ok(page === 'README.md' || isListed, page);
    }
  });
});

describe('docs/faq.md', () => {
  it('answers what new users ask, each with a link to the details', () => {
    const sections = read('docs/faq.md').split(/^## /m);
    const subjects = [
      'authenticate clients',
      'publish from a back end',
      'default rate limits',
      'two hubs',
      'several machines',
      'upgrade',
      'crash',
      'close codes',
      'large',
      'metrics from another machine',
      'CORS',
      'compress, and does it take binary',
    ];
    for (const subject of subjects) {
      const section = sections.find((text) => text.split('\n')[0]?.includes(subject));
      assert.ok(section, subject);
      assert.match(section, /\]\([\w/-]+\.md/, subject);
    }
  });
});

describe('the pages', () => {
  it('open with what the reader can do after them', () => {
    for (const page of pages.filter((name) => name.startsWith('docs/'))) {
      assert.match(read(page), /^# .+\n\nAfter this page /, page);
    }
  });

  it('link only to pages, files and headings that are there', () => {
    for (const page of pages) {
      const prose = read(page).replaceAll(/^ *```[^]*?^ *```$/gm, '');
      for (const [, link = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(link)) continue;
        const [file = '', anchor] = link.split('#');
        const target = file === '' ? page : relative(root, join(root, dirname(page), file));
        assert.ok(existsSync(join(root, target)), `${page} links to ${link}`);
        if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${page} links to ${link}`);
      }
    }
  });

  it('name only files and folders that exist', () => {
    for (const page of pages.filter((name) => name !== 'CHANGELOG.md')) {
      const paths = read(page).matchAll(/`((?:src|test|docs|deploy|bench|scripts|dashboards)\/[\w./*-]*)`/g);
      for (const [, path = ''] of paths) {
        assert.ok(globSync(path, { cwd: root }).length > 0, `${page}: ${path}`);
      }
    }
  });

  it('name only settings and metrics that there are', () => {
    const settings = new Set([...settingsRows().map(({ env }) => env), ...otherVariables]);
    for (const page of pages.filter((name) => name !== 'CHANGELOG.md')) {
      const text = read(page);
      for (const [name] of text.matchAll(/\bWSHUB_[A-Z_]*[A-Z]\b(?!_)/g)) {
        assert.ok(settings.has(name), `${page}: ${name}`);
      }
      for (const [name] of text.matchAll(/\bwshub_[a-z_]+(?:_total|_seconds|_bytes|_up)\b/g)) {
        assert.ok(name in catalogue, `${page}: ${name}`);
      }
    }
  });
});

describe('docs/configuration.md', () => {
  it('has a settings file that a hub takes', () => {
    const text = code('docs/configuration.md', 'example: settings');
    const { port, allowedOrigins } = readSettings({}, { folder: '.', name: 'wshub.json', text });
    assert.deepEqual([port, allowedOrigins], [9000, ['https://app.example']]);
  });
});

describe('the generated pages', () => {
  for (const page of generatedPages) {
    it(`${page} is as its source has it`, async () => {
      assert.equal(read(page), await regenerated(page), 'run: npm run docs');
    });
  }
});

describe('docs/errors-and-close-codes.md', () => {
  const page = 'docs/errors-and-close-codes.md';

  it('lists the close codes that the hub uses', () => {
    const rows = table(page, 'close-codes').map(([code, reason]) => [reason, Number(code)]);
    assert.deepEqual(Object.fromEntries(rows), closeCodes);
  });

  it('lists the error codes with their HTTP status', () => {
    const rows = table(page, 'error-codes').map(([code, status]) => [code, Number(status)]);
    const wanted = Object.entries(errors).map(([code, { status }]) => [code, status]);
    assert.deepEqual(Object.fromEntries(rows), Object.fromEntries(wanted));
  });
});

describe('docs/limits.md', () => {
  it('has every setting that bounds a client', () => {
    const text = read('docs/limits.md');
    for (const { env } of Object.values(limitSettings)) assert.ok(text.includes(`\`${env}\``), env);
  });
});

/** A heading's anchor, as GitHub makes it. */
function anchorsOf(page: string): string[] {
  const prose = read(page).replaceAll(/^ *```[^]*?^ *```$/gm, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

function scriptsOf(name: string): string {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  return scripts[name] ?? '';
}
