/**
 * Keeps a broker running for as long as some namespace needs one: forks it, replaces it when it dies or hangs, hands it
 * the namespaces of a reload, and ends it last. Where no namespace needs one there is none.
 */
import { needsBroker } from '../config/engine-settings.ts';
import type { NamespaceSettings } from '../config/namespaces.ts';
import type { Settings } from '../config/settings.ts';
import type { BrokerOptions, MachineAnswer, MachinesAsk } from '../ipc/broker-messages.ts';
import { OperatorError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { BrokerProcess, type BrokerOwner } from './broker-process.ts';
import { hangMs, pingIntervalMs } from './health-check.ts';
import { RestartPolicy } from './restart-policy.ts';
import { brokerStopMs } from './drain-orders.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import type { SupervisorStats } from './supervisor-stats.ts';

type BrokerSettings = Pick<Settings, 'namespaces' | 'strictNamespaces' | 'logLevel'>;

export interface BrokerSupervisorOptions {
  /** the file that the broker process runs */
  exec: string;
  /** returns the folder that it starts in */
  cwd: () => string;
  /** all options that no reload changes; creates missing directories. @throws {OperatorError} the broker cannot run */
  common: () => Omit<BrokerOptions, 'namespaces' | 'logLevel'>;
  /** see Settings; only a restart changes them */
  engine: Pick<Settings, 'engine' | 'engineDown'>;
  /** Returns this machine's parts of an admin action; never rejects. */
  answer: (ask: MachinesAsk) => Promise<MachineAnswer>;
  lifecycle: SupervisorStats;
  /** keeps the counters of brokers; implemented by metrics/collector.ts */
  bookkeeper: {
    reported(broker: BrokerProcess, snapshot: Snapshot): void;
    exited(broker: BrokerProcess): void;
  };
  log: Log;
}

export class BrokerSupervisor implements BrokerOwner {
  readonly #options: BrokerSupervisorOptions;
  readonly #policy = new RestartPolicy();
  /** null: none is needed, or the next one waits for its start */
  #process: BrokerProcess | null = null;
  #isNeeded = false;
  #isStopping = false;
  #settings: BrokerSettings | null = null;
  #restart: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;
  #checkedAt = performance.now();
  #waiting: { resolve: () => void; reject: (error: OperatorError) => void }[] = [];
  /** one has listened since it was needed: from then on it is started again for ever */
  #wasUp = false;

  constructor(options: BrokerSupervisorOptions) {
    this.#options = options;
  }

  /** The process that runs; null: there is none. */
  get process(): BrokerProcess | null {
    return this.#process;
  }

  get isNeeded(): boolean {
    return this.#isNeeded;
  }

  /** Whether machines share the engine. */
  get isShared(): boolean {
    return this.#options.engine.engine !== 'embedded';
  }

  /** None is needed, or it serves and has answered lately; with `refuse` the engine is reached too. */
  get ready(): boolean {
    if (!this.#isNeeded) return true;
    const broker = this.#process;
    if (!broker?.serving || performance.now() - broker.answeredAt >= 3 * pingIntervalMs) return false;
    return broker.isEngineUp || this.#options.engine.engineDown === 'local';
  }

  /**
   * Takes the namespaces of a start or a reload; resolves once a broker serves, if one is needed. One that is no longer
   * needed runs on until `retire`.
   * @throws {OperatorError} as a rejection: it cannot be started
   */
  async apply({ namespaces, strictNamespaces, logLevel }: BrokerSettings): Promise<void> {
    const before = this.#settings;
    this.#settings = { namespaces, strictNamespaces, logLevel };
    const isNeeded = this.#needs({ namespaces, strictNamespaces });
    if (this.#process?.isEnding === false)
      this.#process.send({ kind: 'rules', namespaces: this.#rules, logLevel });
    if (!isNeeded || this.#isNeeded) {
      this.#isNeeded ||= isNeeded;
      return;
    }
    this.#isNeeded = true;
    const serves = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.#watch ??= setInterval(this.#check, pingIntervalMs);
    if (!this.#process) this.#start();
    try {
      await serves;
    } catch (error) {
      this.#isNeeded = false;
      this.#settings = before;
      throw error;
    }
  }

  /** Ends a broker that the present namespaces do not need; to be called when no worker of before is left. */
  async retire(): Promise<void> {
    if (this.#needs(this.#rules)) return;
    this.#isNeeded = this.#wasUp = false;
    await this.#end();
  }

  /** Ends the broker for good. All stored publications are durable then. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#end();
  }

  /** Kills it at once. */
  kill(): void {
    this.#isStopping = true;
    clearTimeout(this.#restart);
    clearInterval(this.#watch);
    this.#process?.kill('the hub exits at once');
  }

  /** A worker process has ended. */
  workerGone(workerId: string): void {
    this.#process?.send({ kind: 'workerGone', workerId });
  }

  listening(broker: BrokerProcess): void {
    this.#policy.ready(performance.now());
    this.#wasUp = true;
    this.#options.log.info({ brokerPid: broker.pid }, 'broker ready');
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  asked(broker: BrokerProcess, id: number, ask: MachinesAsk): void {
    void this.#options.answer(ask).then((answer) => {
      broker.send({ kind: 'answered', id, answer });
    });
  }

  counted(broker: BrokerProcess, snapshot: Snapshot): void {
    this.#options.bookkeeper.reported(broker, snapshot);
  }

  exited(broker: BrokerProcess, code: number | null, signal: string | null): void {
    this.#options.bookkeeper.exited(broker);
    if (this.#process !== broker) return;
    this.#process = null;
    if (!this.#isNeeded || this.#isStopping) return;
    if (broker.isEnding) {
      this.#start(); // a reload needs one again
      return;
    }
    const reason =
      broker.fault?.message ?? broker.killedFor ?? `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`;
    this.#options.lifecycle.brokerRestarts[broker.killedFor === 'hang' ? 'hang' : 'crash'] += 1;
    const restartInMs = this.#policy.died(performance.now());
    if (!this.#wasUp && (broker.fault?.operator === true || this.#policy.hopeless)) {
      this.#refuse(reason);
      return;
    }
    this.#options.log.error({ brokerPid: broker.pid, code, signal, reason, restartInMs }, 'broker died');
    this.#startLater(restartInMs);
  }

  #needs(rules: NamespaceSettings): boolean {
    return needsBroker({ ...rules, engine: this.#options.engine.engine });
  }

  get #rules(): NamespaceSettings {
    const { namespaces, strictNamespaces } = this.#settings ?? { namespaces: [], strictNamespaces: false };
    return { namespaces, strictNamespaces };
  }

  #start(): void {
    const { exec, cwd, common, log } = this.#options;
    try {
      const logLevel = this.#settings?.logLevel ?? 'info';
      this.#process = new BrokerProcess(
        exec,
        cwd(),
        { ...common(), namespaces: this.#rules, logLevel },
        this,
      );
      log.debug({ brokerPid: this.#process.pid }, 'broker forked');
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const restartInMs = this.#policy.died(performance.now());
      if (!this.#wasUp && (error instanceof OperatorError || this.#policy.hopeless)) {
        this.#refuse(reason);
        return;
      }
      log.error({ reason, restartInMs }, 'broker could not be forked');
      this.#startLater(restartInMs);
    }
  }

  #startLater(ms: number): void {
    this.#restart = setTimeout(() => {
      this.#start();
    }, ms);
  }

  /** None has served yet, and none will. */
  #refuse(reason: string): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
    for (const { reject } of this.#waiting.splice(0))
      reject(new OperatorError(`the broker cannot be started: ${reason}`));
  }

  async #end(): Promise<void> {
    clearTimeout(this.#restart);
    clearInterval(this.#watch);
    this.#watch = undefined;
    const broker = this.#process;
    if (!broker) return;
    broker.isEnding = true;
    broker.send({ kind: 'stop' });
    const deadline = setTimeout(() => {
      this.#options.log.warn({ brokerPid: broker.pid }, 'the broker did not end in time and is killed');
      broker.kill('not gone in time');
    }, brokerStopMs);
    await broker.gone;
    clearTimeout(deadline);
    if (this.#process === broker) this.#process = null;
  }

  readonly #check = (): void => {
    const now = performance.now();
    // After a standstill of this process itself a silence means nothing.
    const isLate = now - this.#checkedAt > 3 * pingIntervalMs;
    this.#checkedAt = now;
    const broker = this.#process;
    if (!broker) return;
    if (isLate) broker.answeredAt = now;
    // While it reads its files it answers nothing.
    if (broker.serving && now - broker.answeredAt > hangMs) broker.kill('hang');
    else broker.send({ kind: 'ping' });
  };
}
