/**
 * Reload: reads the settings again and replaces all workers. Only one reload runs at a time; requests meanwhile are merged
 * into one more. A failed reload changes nothing.
 */
import type { SettingName, Settings } from '../config/settings.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';

/** Settings of the primary itself, which only a restart changes. */
const fixedSettings = [
  'opsHost',
  'opsPort',
  'maxOpsConnections',
  'runtimeDir',
  'stateDir',
  'historyMaxBytes',
  'engine',
  'engineDown',
  'machineId',
  'redisUrl',
  'redisPasswordFile',
  'redisTlsCaFile',
  'redisPrefix',
  'adminTokenFile',
  'logFormat',
] as const satisfies SettingName[];

export interface ReloadHost {
  /** @throws {OperatorError} a setting is invalid */
  read(): Settings;
  /** Resolves when the new workers serve, with a promise that the old ones have exited. Rejects: the old ones stay. */
  replace(settings: Settings): Promise<{ drained: Promise<unknown> }>;
  /** Called when a reload begins, and when it has ended; not when the hub stops meanwhile. */
  reloading(): void;
  reloaded(): void;
}

export class Reload {
  readonly #host: ReloadHost;
  readonly #lifecycle: SupervisorStats;
  readonly #log: Log;
  #settings: Settings;
  #running = false;
  /** number of requests so far, and how many of them the last reload covers */
  #asked = 0;
  #begun = 0;
  #stopped = false;

  /** @param settings of the current workers */
  constructor(settings: Settings, host: ReloadHost, lifecycle: SupervisorStats, log: Log) {
    this.#settings = settings;
    this.#host = host;
    this.#lifecycle = lifecycle;
    this.#log = log;
  }

  /** Settings of the current workers. */
  get settings(): Settings {
    return this.#settings;
  }

  /** Starts a reload now, or after the one in progress. Null: the hub is stopping. */
  request(): 'started' | 'queued' | null {
    this.#asked += 1;
    if (this.#stopped) {
      this.#log.info('the hub is stopping; no reload');
      return null;
    }
    if (this.#running) {
      this.#log.info('a reload is in progress; another one follows');
      return 'queued';
    }
    void this.#run();
    return 'started';
  }

  /** Called when the hub stops: prevents further reloads. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#begun < this.#asked && !this.#stopped) {
      this.#begun = this.#asked;
      await this.#once();
    }
    this.#running = false;
  }

  async #once(): Promise<void> {
    this.#log.info('reload begins');
    this.#host.reloading();
    try {
      const settings = this.#host.read();
      const fixed = fixedSettings.filter((name) => settings[name] !== this.#settings[name]);
      if (fixed.length > 0) this.#log.warn({ settings: fixed }, 'these settings need a restart');
      const { drained } = await this.#host.replace(settings);
      this.#settings = settings;
      this.#lifecycle.lastReloadSuccessful = 1;
      this.#lifecycle.lastReloadSuccessSeconds = Date.now() / 1000;
      this.#log.info({ workers: settings.workers }, 'new workers serve, the old ones drain');
      await drained;
      this.#log.info('reload done');
    } catch (error) {
      this.#lifecycle.lastReloadSuccessful = 0;
      const facts = error instanceof OperatorError ? { reason: messageOf(error) } : { err: error };
      this.#log.error(facts, 'reload failed; the current workers keep serving');
    }
    if (!this.#stopped) this.#host.reloaded();
  }
}
