/** A real Prometheus on loopback with this repository's rules, scraping a hub every second. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../support.ts';
import { getPrometheus } from './get-prometheus.ts';

const deploy = join(import.meta.dirname, '../../deploy/prometheus');

export interface Series {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

export interface LiveRule {
  type: 'recording' | 'alerting';
  name: string;
  query: string;
  health: string;
  lastError?: string;
}

export interface LiveAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: string;
}

export class LivePrometheus {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #url: string;
  #output = '';

  private constructor(child: ChildProcess, folder: string, url: string) {
    this.#child = child;
    this.#folder = folder;
    this.#url = url;
    child.stderr?.on(
      'data',
      (chunk: Buffer) => (this.#output = (this.#output + chunk.toString()).slice(-4000)),
    );
  }

  /** @param target the ops port of a hub */
  static async start(target: string): Promise<LivePrometheus> {
    const program = getPrometheus();
    const folder = mkdtempSync(join(tmpdir(), 'wshub-prometheus-'));
    const shipped = readFileSync(join(deploy, 'prometheus.yml'), 'utf8');
    const config = shipped
      .replace('scrape_interval: 15s', 'scrape_interval: 1s')
      .replace('scrape_timeout: 5s', 'scrape_timeout: 1s')
      .replace('evaluation_interval: 15s', 'evaluation_interval: 1s')
      .replaceAll('- wshub.', `- ${deploy}/wshub.`);
    writeFileSync(join(folder, 'prometheus.yml'), config);
    const targets = readFileSync(join(deploy, 'targets.yml'), 'utf8');
    writeFileSync(join(folder, 'targets.yml'), targets.replace('127.0.0.1:9180', target));
    const address = `127.0.0.1:${await freePort()}`;
    const args = [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=warn',
    ];
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    const prometheus = new LivePrometheus(child, folder, `http://${address}`);
    process.on('exit', () => {
      child.kill('SIGKILL');
    });
    await eventually(() => prometheus.#isReady(), 'Prometheus to be ready');
    return prometheus;
  }

  /** An instant query. @throws {Error} what Prometheus has against it */
  async query(expr: string): Promise<Series[]> {
    const { result } = await this.#get<{ result: Series[] }>('query', { query: expr });
    return result;
  }

  async rules(): Promise<LiveRule[]> {
    const { groups } = await this.#get<{ groups: { rules: LiveRule[] }[] }>('rules');
    return groups.flatMap(({ rules }) => rules);
  }

  async alerts(): Promise<LiveAlert[]> {
    return (await this.#get<{ alerts: LiveAlert[] }>('alerts')).alerts;
  }

  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await gone;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #isReady(): Promise<true | undefined> {
    if (this.#child.exitCode !== null) throw new Error(`Prometheus has ended: ${this.#output}`);
    const answer = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
    return answer?.ok ? true : undefined;
  }

  async #get<T>(what: string, parameters: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`${this.#url}/api/v1/${what}?${new URLSearchParams(parameters).toString()}`);
    const body = (await answer.json()) as { status: string; error?: string; data: T };
    if (body.status !== 'success') throw new Error(body.error ?? `${what} failed`);
    return body.data;
  }
}

/** Returns a free port; Prometheus cannot report which one it has taken. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (typeof address === 'object' && address) resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  });
}
