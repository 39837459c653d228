/**
 * Reload: reads the settings anew and puts a new generation of workers in the place of the present one. One at a
 * time; those that are asked for meanwhile become one that follows. A reload that fails changes nothing.
 */
import type { SettingName, Settings } from '../config/settings.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { SupervisorStats } from './supervisor-stats.ts';

/** What the primary itself is built from; a change waits for a restart. */
const fixedSettings = [
  'opsHost',
  'opsPort',
  'maxOpsConnections',
  'runtimeDir',
  'adminTokenFile',
  'logFormat',
] as const satisfies SettingName[];

export interface ReloadHost {
  /** @throws {OperatorError} a setting is bad */
  read(): Settings;
  /** Resolves when the new generation serves, with the promise that the old one is gone. Rejects: it goes on. */
  replace(settings: Settings): Promise<{ drained: Promise<unknown> }>;
  /** Told when a reload begins, and when it has ended in whatever way but with the hub. */
  reloading(): void;
  reloaded(): void;
}

export class Reload {
  readonly #host: ReloadHost;
  readonly #lifecycle: SupervisorStats;
  readonly #log: Log;
  #settings: Settings;
  #running = false;
  /** how many were asked for, and up to which they have been begun */
  #asked = 0;
  #begun = 0;
  #stopped = false;

  /** @param settings those of the generation that serves */
  constructor(settings: Settings, host: ReloadHost, lifecycle: SupervisorStats, log: Log) {
    this.#settings = settings;
    this.#host = host;
    this.#lifecycle = lifecycle;
    this.#log = log;
  }

  /** Those of the generation that serves. */
  get settings(): Settings {
    return this.#settings;
  }

  /** Asks for a reload, now or after the one that runs. */
  request(): void {
    this.#asked += 1;
    if (this.#stopped) this.#log.info('the hub stops, and is not reloaded');
    else if (this.#running) this.#log.info('a reload runs already; another follows it');
    else void this.#run();
  }

  /** The hub stops: nothing is reloaded any more. */
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
      if (fixed.length > 0) this.#log.warn({ settings: fixed }, 'these settings change with a restart only');
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
      this.#log.error(facts, 'reload failed; the present workers serve on');
    }
    if (!this.#stopped) this.#host.reloaded();
  }
}
