/** A hub whose processes die, stand still and are replaced, always over the same state directory. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startHub, type Environment, type HubProcess } from '../../../test/support.ts';
import type { Random } from './random.ts';

export const troubles = ['killWorker', 'killBroker', 'stopBroker', 'reload', 'restart', 'killAll'] as const;
export type Trouble = (typeof troubles)[number];

export class TroubledHub {
  readonly #env: Environment;
  readonly #random: Random;
  #hub: HubProcess;
  #standstills: Promise<void>[] = [];
  #up: Promise<void> = Promise.resolve();
  readonly counts: Record<Trouble, number> = {
    killWorker: 0,
    killBroker: 0,
    stopBroker: 0,
    reload: 0,
    restart: 0,
    killAll: 0,
  };

  private constructor(hub: HubProcess, env: Environment, random: Random) {
    this.#hub = hub;
    this.#env = env;
    this.#random = random;
  }

  static async start(env: Environment, random: Random): Promise<TroubledHub> {
    return new TroubledHub(await startHub({ env }), env, random);
  }

  /** The one that runs now. */
  get hub(): HubProcess {
    return this.#hub;
  }

  /** Resolves when no restart is in progress. */
  get up(): Promise<void> {
    return this.#up;
  }

  /** Resolves when the trouble has begun; a restart: when the next hub is ready. */
  async cause(trouble: Trouble): Promise<void> {
    this.counts[trouble] += 1;
    switch (trouble) {
      case 'killWorker':
        signal(this.#random.pick(this.#hub.workers).pid, 'SIGKILL');
        break;
      case 'killBroker':
        signal(this.#brokerPids().at(-1), 'SIGKILL');
        break;
      case 'stopBroker':
        this.#standstills.push(standStill(this.#brokerPids().at(-1), this.#random.between(1_000, 3_000)));
        break;
      case 'reload':
        this.#hub.signal('SIGHUP');
        break;
      case 'restart':
        await this.#replace(() => undefined);
        break;
      case 'killAll':
        await this.#replace(async () => {
          for (const pid of [...this.#brokerPids(), ...this.#workerPids(), this.#hub.pid])
            signal(pid, 'SIGKILL');
          await this.#hub.ended();
        });
        break;
    }
  }

  /** Resolves when every process runs again. */
  async calm(): Promise<void> {
    await Promise.all(this.#standstills);
  }

  async #replace(kill: () => Promise<void> | undefined): Promise<void> {
    const up = Promise.withResolvers<undefined>();
    this.#up = up.promise;
    await kill();
    await this.#hub.end(); // stops it, if it was not killed
    this.#hub = await startHub({ env: this.#env });
    up.resolve(undefined);
  }

  #brokerPids(): number[] {
    return this.#pids('broker ready', 'brokerPid');
  }

  #workerPids(): number[] {
    return this.#pids('worker ready', 'workerPid');
  }

  #pids(event: string, member: string): number[] {
    return this.#hub.log.filter(({ msg }) => msg === event).map((line) => Number(line[member]));
  }
}

async function standStill(pid: number | undefined, ms: number): Promise<void> {
  if (!signal(pid, 'SIGSTOP')) return;
  await sleep(ms);
  signal(pid, 'SIGCONT');
}

/** @returns false: the process is gone */
function signal(pid: number | undefined, name: NodeJS.Signals): boolean {
  try {
    return pid !== undefined && process.kill(pid, name);
  } catch {
    return false;
  }
}
