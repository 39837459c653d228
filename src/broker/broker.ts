/**
 * The broker: the process that orders and keeps the publications of channels with history. It builds its parts from
 * the options of the primary, and ends on its order or when the primary has ended.
 */
import { rmSync } from 'node:fs';
import { Namespaces } from '../config/namespaces.ts';
import type { HistoryRule } from '../engine/engine.ts';
import type {
  BrokerOptions,
  FromBroker,
  MachineAnswer,
  MachinesAnswer,
  MachinesAsk,
  ToBroker,
} from '../ipc/broker-messages.ts';
import { brokerCounted, brokerHeld } from '../metrics/broker-metrics.ts';
import { ProcessStats } from '../metrics/process-stats.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { OperatorError, messageOf } from '../platform/errors.ts';
import { createLog, type Log } from '../platform/log.ts';
import { checkRawSocket } from '../platform/node-internals/raw-socket.ts';
import { BrokerServer } from './broker-server.ts';
import { buildEngine } from './engines.ts';
import { Machines } from './machines.ts';

const sweepMs = 1_000;
/** Sweeps from one comparison of positions to the next, and how long publications may be under way meanwhile. */
const checkSweeps = 10;
const checkGraceMs = 200;
/** rule of a channel without a namespace, for example after a reload */
const noHistory: HistoryRule = { historySize: 0, historyTtlMs: 0, historyMetaTtlMs: 86_400_000 };

interface Running {
  readonly log: Log;
  /** counters, which must outlive this process */
  counters(): Snapshot;
  /** counters and gauges */
  snapshot(): Snapshot;
  setRules(message: Extract<ToBroker, { kind: 'rules' }>): void;
  workerGone(workerId: string): void;
  askMachines(ask: MachinesAsk): Promise<MachinesAnswer>;
  /** This machine's answer to a question of another one. */
  answer(id: number, answer: MachineAnswer): void;
  stop(): Promise<void>;
}

/** The answer where no machine can be asked. */
const noMachines: MachinesAnswer = { isReached: false, answers: [], missing: [] };

/** Runs this process as the broker, driven by the primary's messages. */
export function runBroker(): void {
  // Ctrl-C of a terminal reaches the whole process group; the primary decides about signals.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  let running: Running | null = null;
  /** workers that have ended before this process was `running` */
  const gone: string[] = [];
  // From the beginning: a broker that outlived its primary would keep the state directory locked.
  process.on('disconnect', () => {
    running?.log.fatal('the primary is gone');
    void (running?.stop() ?? Promise.resolve()).finally(() => {
      process.exit(1);
    });
  });
  process.on('message', (message: ToBroker) => {
    switch (message.kind) {
      case 'start':
        start(message.options).then(
          (built) => {
            running = built;
            for (const workerId of gone) built.workerGone(workerId);
            sendToPrimary({ kind: 'listening' });
          },
          (error: unknown) => {
            sendToPrimary({
              kind: 'failed',
              message: messageOf(error),
              operator: error instanceof OperatorError,
            });
          },
        );
        break;
      case 'rules':
        running?.setRules(message);
        break;
      case 'workerGone':
        if (running) running.workerGone(message.workerId);
        else gone.push(message.workerId);
        break;
      case 'ping':
        sendToPrimary({ kind: 'pong' });
        if (running) sendToPrimary({ kind: 'counted', snapshot: running.counters() });
        break;
      case 'collect':
        sendToPrimary({ kind: 'part', id: message.id, part: running?.snapshot() ?? {} });
        break;
      case 'askMachines': {
        const { id, ask } = message;
        void (running?.askMachines(ask) ?? Promise.resolve(noMachines)).then((part) => {
          sendToPrimary({ kind: 'part', id, part });
        });
        break;
      }
      case 'answered':
        running?.answer(message.id, message.answer);
        break;
      case 'stop':
        void (running?.stop() ?? Promise.resolve()).finally(() => {
          process.exit(0);
        });
        break;
    }
  });
}

/** Starts the broker. Resolves when workers can dial it. */
async function start(options: BrokerOptions): Promise<Running> {
  const { path, hubId, workers } = options;
  const log = createLog(options.logLevel, 'broker', options.logFormat);
  endOnErrors(log);
  await checkRawSocket();
  let namespaces = Namespaces.from(options.namespaces);
  const rule = (channel: string) => namespaces.of(channel) ?? noHistory;
  const built = await buildEngine(options, rule, () => server, log, {
    changed: (isUp) => {
      sendToPrimary({ kind: 'engine', isUp });
    },
    control: (message) => {
      machines?.received(message);
    },
  });
  const { engine, shared } = built;
  const server: BrokerServer = new BrokerServer({ path, hubId, log, workers, shared, down: built.down });
  const machines =
    shared &&
    new Machines({
      engine: shared,
      machine: options.redis?.machine ?? '',
      asked: (id, ask) => {
        sendToPrimary({ kind: 'asked', id, ask });
      },
    });
  await built.start();
  rmSync(path, { force: true });
  await server.listen(engine);
  let sweeps = 0;
  const timer = setInterval(() => {
    built.sweep();
    server.tick();
    if (++sweeps % checkSweeps === 0) void server.checkPositions(checkGraceMs);
    void server.keepSocketFile();
  }, sweepMs);
  const stats = new ProcessStats();
  const counters = () => ({
    ...brokerCounted(engine.counters, server.counters),
    ...stats.counters('broker'),
  });
  const stop = async () => {
    clearInterval(timer);
    await server.close();
    await engine.close();
    rmSync(path, { force: true });
  };
  return {
    log,
    setRules: (message) => {
      namespaces = Namespaces.from(message.namespaces);
      log.level = message.logLevel;
    },
    workerGone: (workerId) => {
      server.workerGone(workerId);
    },
    askMachines: (ask) => machines?.ask(ask) ?? Promise.resolve(noMachines),
    answer: (id, answer) => {
      machines?.answer(id, answer);
    },
    counters,
    snapshot: () => ({
      ...counters(),
      ...brokerHeld(built.holdings(), server, shared),
      ...stats.gauges('broker'),
    }),
    stop,
  };
}

function sendToPrimary(message: FromBroker): void {
  process.send?.(message, undefined, undefined, () => undefined);
}

/**
 * Ends the process on errors: a broken state must not be written or delivered. The next broker continues from the log
 * files.
 */
function endOnErrors(log: Log): void {
  const end = (error: unknown) => {
    log.fatal({ err: error }, 'uncaught error in the broker');
    process.exit(1);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
