/** Reading `/metrics` in tests: the text, its samples, and promtool's opinion where there is one. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support.ts';

/** Longer than a collection's result is shared. */
export const freshMs = 1_100;

export interface Scrape {
  contentType: string;
  text: string;
  /** value by series, as it stands in the text */
  samples: Map<string, number>;
  milliseconds: number;
}

export async function scrape(hub: { opsPort: number }, accept = '*/*'): Promise<Scrape> {
  const startedAt = performance.now();
  const { contentType, text } = await new Promise<{ contentType: string; text: string }>(
    (resolve, reject) => {
      const options = { host: '127.0.0.1', port: hub.opsPort, path: '/metrics', headers: { accept } };
      const request = http.get({ ...options, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (body += chunk));
        response.on('end', () => {
          resolve({ contentType: response.headers['content-type'] ?? '', text: body });
        });
      });
      request.setTimeout(30_000, () => request.destroy(new Error('the scrape was not answered')));
      request.on('error', reject);
    },
  );
  return { contentType, text, samples: samplesOf(text), milliseconds: performance.now() - startedAt };
}

/** A scrape of a collection that began after this call. */
export async function freshScrape(hub: { opsPort: number }): Promise<Scrape> {
  await sleep(freshMs);
  return scrape(hub);
}

/** Returns a scrape that this number of workers have answered; a worker that is not scheduled for a second misses one. */
export function scrapeOfAll(hub: { opsPort: number }, workers: number): Promise<Scrape> {
  return eventually(async () => {
    const scraped = await freshScrape(hub);
    return sum(scraped.samples, 'wshub_worker_up') === workers ? scraped : undefined;
  }, `a scrape of ${workers} workers`);
}

export function samplesOf(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

/** The sum over all series of a name that have these labels. */
export function sum(samples: Map<string, number>, name: string, ...labels: string[]): number {
  let total = 0;
  for (const [series, value] of samples) {
    const own = series === name || series.startsWith(`${name}{`);
    if (own && labels.every((label) => series.includes(label))) total += value;
  }
  return total;
}

/** What a hub has counted since it started is above 0, as soon as a scrape is new enough to show it. */
export async function counted(hub: { opsPort: number }, name: string, ...labels: string[]): Promise<void> {
  await eventually(
    async () => (sum((await scrape(hub)).samples, name, ...labels) > 0 ? true : undefined),
    `${name} ${labels.join(', ')}`,
  );
}

/** Series that only grow. */
export function growing(samples: Map<string, number>): Map<string, number> {
  return new Map([...samples].filter(([series]) => /^[a-z_]+_(total|bucket|count|sum)(\{|$)/.test(series)));
}

/** A program of Debian's prometheus: on the PATH, or unpacked by the live test; undefined where it is not. */
export function prometheusTool(name: 'prometheus' | 'promtool'): string | undefined {
  const unpacked = join(import.meta.dirname, '../../.cache/prometheus/usr/bin');
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), unpacked];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** What a promtool command said; undefined where there is no promtool. */
export function promtool(
  args: string[],
  options: { input?: string; cwd?: string } = {},
): { status: number | null; output: string } | undefined {
  const tool = prometheusTool('promtool');
  if (tool === undefined) return undefined;
  const { status, stdout, stderr } = spawnSync(tool, args, { encoding: 'utf8', timeout: 60_000, ...options });
  return { status, output: stdout + stderr };
}
