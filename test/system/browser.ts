/** A page in a real browser, Debian's Chromium without a window, that reports what it sees. */
import { spawn } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import http from 'node:http';
import { eventually, temporaryFolder } from '../support.ts';

/** What a page has sent to `/seen`. */
export interface Seen {
  event: string;
  id: string;
  data: unknown;
}

type TestContext = Parameters<typeof temporaryFolder>[0];

/** Serves the page and its scripts, and collects its reports. */
export async function pageServer(t: TestContext, html: string, files: Readonly<Record<string, Buffer>> = {}) {
  const seen: Seen[] = [];
  const server = http.createServer((request, response) => {
    if (request.method !== 'POST') {
      const file = files[request.url ?? ''];
      const type = file ? 'text/javascript' : 'text/html';
      response.setHeader('Content-Type', type).end(file ?? (request.url === '/' ? html : ''));
      return;
    }
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen.push(JSON.parse(body) as Seen);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

export function openBrowser(t: TestContext, url: string): void {
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
  ];
  const profile = `--user-data-dir=${temporaryFolder(t)}`;
  const browser = spawn('chromium', [...flags, profile, url], { stdio: 'ignore', detached: true });
  t.after(() => {
    if (browser.pid !== undefined) process.kill(-browser.pid, 'SIGKILL');
  });
}

export const ofKind = (seen: readonly Seen[], event: string) => seen.filter((one) => one.event === event);

export async function count(seen: readonly Seen[], event: string, atLeast: number): Promise<Seen[]> {
  return eventually(
    () => {
      const found = ofKind(seen, event);
      return found.length >= atLeast ? found : undefined;
    },
    `${atLeast} of ${event}, have ${JSON.stringify(seen.slice(-5))}`,
  );
}
