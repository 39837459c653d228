/**
 * The primary: builds its parts from the settings, starts the hub, serves the ops port, and stops everything on a
 * signal. It keeps running and answering when workers fail.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { unixOffset } from '../platform/clock.ts';
import { serviceVariables } from '../config/reader.ts';
import { checkEngineFiles, needsBroker } from '../config/engine-settings.ts';
import type { Settings } from '../config/settings.ts';
import { identifier } from '../auth/api-keys.ts';
import { readApiKeys, type ApiKeysFile } from '../config/api-keys-file.ts';
import type { Execute, PrimaryParts } from '../admin/action.ts';
import { actionNames } from '../admin/actions.ts';
import { adminRoutes } from '../admin/routes.ts';
import { createApp } from '../http/app.ts';
import { listen } from '../http/listen.ts';
import { metricsRoute } from '../http/metrics-route.ts';
import { probes } from '../http/probes.ts';
import { createHttpServer } from '../http/server.ts';
import { TrustedProxies, unreadableForwarded } from '../http/client-address.ts';
import { createLog, type Log } from '../platform/log.ts';
import { formatOf } from '../platform/log-format.ts';
import { Collector } from '../metrics/collector.ts';
import { HttpCounters } from '../metrics/http-counters.ts';
import { primarySnapshot } from '../metrics/primary-metrics.ts';
import { ProcessStats } from '../metrics/process-stats.ts';
import { scraped } from '../metrics/scrape.ts';
import { startTracing } from '../tracing/start.ts';
import { detectManager } from '../process-manager/detect.ts';
import { passedSocket } from '../process-manager/socket-activation.ts';
import { systemdVariables } from '../process-manager/systemd.ts';
import { feedWatchdog } from '../process-manager/watchdog.ts';
import { revision, version } from '../platform/version.ts';
import {
  announceToken,
  freshAdminToken,
  givenAdminToken,
  tokenFileName,
  writeToken,
  type AdminToken,
} from './admin-token.ts';
import { answerMachine, askMachines } from './ask-machines.ts';
import { askWorkers } from './ask-workers.ts';
import { HubError, messageOf } from '../platform/errors.ts';
import { stopOrder } from './drain-orders.ts';
import { sayFirstSteps } from './first-steps.ts';
import { Hangup } from './hangup.ts';
import { BrokerSupervisor } from './broker-supervisor.ts';
import { surviveErrors } from './guard.ts';
import { SupervisorStats } from './supervisor-stats.ts';
import { Listeners } from './listeners.ts';
import { givenStateDir, makeStateDir } from './state-dir.ts';
import { workingDirectory, type WorkerCommon } from './worker-pool.ts';
import { redisOptions } from './machine.ts';
import { Reload, type ReloadHost } from './reload.ts';
import { RuntimeDir } from './runtime-dir.ts';
import { stopOnSignal } from './stop.ts';
import { Supervisor } from './supervisor.ts';
import { logTotals } from './connection-log.ts';

/** Interval of the checks that the runtime directory still exists. */
const dirCheckMs = 10_000;

/**
 * Runs this process as the primary until a signal ends it.
 * @param read reads the settings again, for a reload
 * @param exec the file that a worker process runs
 * @throws {OperatorError} as a rejection: the hub cannot start, or no worker can be started
 */
export async function runPrimary(settings: Settings, read: () => Settings, exec: string): Promise<void> {
  const startedAt = performance.now();
  const log = createLog(settings.logLevel, 'primary', settings.logFormat);
  const apiKeys = readApiKeys(settings.apiKeysFile);
  checkEngineFiles(settings);
  const dir = new RuntimeDir(settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY']);
  await dir.lock().catch((error: unknown) => {
    if (dir.temporary) dir.remove([]);
    throw error;
  });
  const admin = adminToken(settings, dir);
  const listenFd = passedSocket(process.env, process.pid);
  const manager = detectManager(process, log);
  // Workers inherit the environment and run user code.
  for (const name of ['WSHUB_ADMIN_TOKEN', ...systemdVariables]) Reflect.deleteProperty(process.env, name);
  log.info({ version, node: process.version, runtimeDir: dir.path, adminToken: admin.source }, 'hub starts');
  const injected = serviceVariables(process.env);
  if (injected.length > 0) {
    const advice = 'rename the Service or link named wshub, or set enableServiceLinks: false in the pod';
    log.warn({ variables: injected, advice }, 'variables of a service link are ignored');
  }
  if (dir.shared !== null) {
    log.warn(
      { runtimeDir: dir.path },
      `other users may write to the runtime directory ${dir.shared}: the hub uses a directory of its own in it`,
    );
  }

  warnOfPublicKeys(apiKeys, log);

  const lifecycle = new SupervisorStats();
  const hubId = randomUUID();
  const brokerPath = dir.file('broker.sock');
  const workersOf = (given: Settings, { keys }: ApiKeysFile): WorkerCommon => ({
    settings: {
      ...given,
      adminToken: undefined,
      redisUrl: undefined,
      logFormat: settings.logFormat,
      engine: settings.engine,
      engineDown: settings.engineDown,
    },
    adminToken: admin.token,
    apiKeys: keys,
    ownsRuntimeDir: dir.temporary,
    runtimeDir: dir.path,
    brokerPath: needsBroker({ ...given, engine: settings.engine }) ? brokerPath : null,
    unixOffset,
  });
  const cleanDir = () => {
    dir.remove(admin.written === undefined ? [] : [admin.written]);
  };
  let announcedPort = 0;
  const restoreDir = () => {
    if (!dir.restore()) return;
    log.warn({ runtimeDir: dir.path }, 'the runtime directory was removed; it is created again');
    if (admin.written !== undefined) writeToken(admin.written, admin.token);
    if (announcedPort !== 0) announceToken(dir, announcedPort);
    dir.lock().catch((error: unknown) => {
      log.error({ reason: messageOf(error) }, 'the runtime directory cannot be locked');
    });
  };
  const listeners = await takePort(settings, listenFd).catch((error: unknown) => {
    cleanDir();
    throw error;
  });
  const supervisor = new Supervisor({
    exec,
    worker: workersOf(settings, apiKeys),
    listeners,
    lifecycle,
    hubId,
    socketPath: (workerId) => {
      restoreDir();
      return dir.file(`${workerId}.sock`);
    },
    log,
  });
  const own = askWorkers(() => supervisor.workers);
  const primaryParts: PrimaryParts = {
    version,
    startedAt,
    reload: () => {
      const outcome = isReady ? reload.request() : null;
      if (outcome === null) throw new HubError('unavailable');
      return outcome;
    },
  };
  const redis = redisOptions(settings);
  const perform: Execute = redis
    ? askMachines({ own, primary: primaryParts, machine: redis.machine, broker: () => broker.process, log })
    : async (call, trace) => call.merge(await own(call, trace), primaryParts);
  supervisor.perform = perform;

  const counters = new HttpCounters(actionNames);
  const probe = new ProcessStats();
  const collector: Collector = new Collector(
    () => [...supervisor.workers, ...(broker.process ? [broker.process] : [])],
    (collection) => {
      const { workers, expected } = supervisor;
      const supervision = { workers, expected, lifecycle, broker };
      return primarySnapshot({ version, revision }, supervision, counters, probe, collection);
    },
  );
  supervisor.bookkeeper = {
    reported: (worker, snapshot) => {
      collector.reported(worker, snapshot);
    },
    exited: (worker) => {
      collector.exited(worker);
      broker.workerGone(worker.id);
    },
  };
  const stateDir = givenStateDir(settings, process.env) ?? dir.path;
  const broker = new BrokerSupervisor({
    exec,
    cwd: () => workingDirectory(exec),
    common: () => {
      restoreDir();
      if (redis === null) makeStateDir(stateDir);
      const { historyMaxBytes, logFormat } = settings;
      const workers = supervisor.workers.filter(({ usesBroker }) => usesBroker).map(({ id }) => id);
      return { hubId, path: brokerPath, redis, stateDir, historyMaxBytes, logFormat, workers };
    },
    engine: settings,
    answer: answerMachine({ own, log }),
    lifecycle,
    bookkeeper: collector,
    log,
  });

  const { trustTraceparent, traceChannels } = settings;
  const tracing = await startTracing({
    worker: 'primary',
    version,
    unixOffset,
    trustTraceparent,
    traceChannels,
    errors: { decode: 0, version: 0 }, // the primary receives no messages
    complain: (reason) => {
      log.warn({ reason }, 'traces are not sent');
    },
  });
  const proxies = new TrustedProxies(settings.trustProxy, unreadableForwarded(log));
  const address = (request: IncomingMessage) => proxies.trace(request).address;
  /** changed by a reload */
  let identify = identifier(admin.token, apiKeys.keys);
  const routes = adminRoutes({
    identify: (secret) => identify(secret),
    address,
    settings,
    perform,
    log,
    counters,
    tracing,
  });
  const health = {
    get alive() {
      return supervisor.alive;
    },
    get ready() {
      return supervisor.ready && broker.ready;
    },
  };
  const routers = [probes(health), metricsRoute(scraped(collector)), routes];
  const app = createApp(routers, { code: 'not_found' }, log, counters);
  const ops = createHttpServer(settings, settings.maxOpsConnections, app.callback(), counters);
  const cleanUp = () => {
    ops.close();
    ops.closeAllConnections();
    cleanDir();
  };
  const status = () => `${supervisor.expected} workers serve`;
  const reloadHost: ReloadHost = {
    read,
    replace: async (given: Settings) => {
      const keys = readApiKeys(given.apiKeysFile);
      warnOfPublicKeys(keys, log);
      const { host, port } = reload.settings;
      const moves = listenFd === null && (given.host !== host || given.port !== port);
      const moved = moves ? await takePort(given, null) : undefined;
      const before = reload.settings;
      const replaced = await broker
        .apply(given)
        .then(() => supervisor.reload(workersOf(given, keys), moved))
        .catch(async (error: unknown) => {
          moved?.close();
          await broker.apply(before);
          throw error;
        });
      void replaced.drained.then(() => broker.retire());
      if (moved) log.info({ host: given.host, port: moved.port }, 'the public port has changed');
      log.level = given.logLevel;
      identify = identifier(admin.token, keys.keys);
      return replaced;
    },
    reloading: () => {
      manager.reloading();
    },
    reloaded: () => {
      manager.ready(status());
    },
  };
  const reload: Reload = new Reload(settings, reloadHost, lifecycle, log);
  /** Set once the hub has started: a reload needs workers to replace. */
  let isReady = false;
  const stopped = stopOnSignal({
    onStop: (stop) => {
      manager.onStop(stop);
    },
    onTerminalClosed: (stop) => {
      const hangup = new Hangup();
      process.on('SIGHUP', () => {
        const meaning = hangup.meaning();
        if (meaning === 'stop') stop();
        else if (meaning === 'ignore') log.info('SIGHUP of a closed terminal, or after nohup: ignored');
        else if (isReady) reload.request();
      });
    },
    stop: async (cause) => {
      log.info({ signal: cause }, 'hub stops');
      manager.stopping();
      reload.stop();
      // In parallel: a trace collector that hangs must not add its timeout to the budget of the stop.
      await Promise.all([supervisor.stop(stopOrder(reload.settings)), tracing.shutdown()]);
      await broker.stop(); // behind the workers, whose last publications it stores
      cleanUp();
      log.info('hub stopped');
    },
    abort: (cause) => {
      log.warn({ signal: cause }, 'second signal: the hub exits at once');
      supervisor.killAll();
      broker.kill();
      cleanUp();
    },
  });
  try {
    await listen(ops, settings.opsHost, settings.opsPort, 'WSHUB_OPS_PORT');
    const hopeless = supervisor.hopeless;
    const started = broker.apply(settings).then(async () => {
      await supervisor.start();
      return true;
    });
    if (await Promise.race([started, hopeless, stopped])) {
      const opsPort = (ops.address() as AddressInfo).port;
      if (admin.written !== undefined) {
        announcedPort = opsPort;
        announceToken(dir, opsPort);
      }
      log.info({ port: supervisor.port, opsPort, workers: settings.workers }, 'hub ready');
      if (formatOf(settings.logFormat) === 'pretty') sayFirstSteps(settings, supervisor.port, log);
      surviveErrors(lifecycle, log);
      logTotals(() => supervisor.connections, log);
      manager.ready(status());
      setInterval(() => {
        try {
          restoreDir(); // workers then create their sockets in it again
        } catch {
          // the next fork reports the error
        }
      }, dirCheckMs).unref();
      feedWatchdog(manager, () => supervisor.alive);
      isReady = true;
      await Promise.race([stopped, hopeless]);
    }
  } catch (error) {
    supervisor.killAll();
    broker.kill();
    cleanUp();
    throw error;
  }
}

/** Binds the public port, or takes over the socket that a service manager has opened. */
async function takePort(settings: Settings, listenFd: number | null): Promise<Listeners> {
  return listenFd === null
    ? Listeners.bind(settings.host, settings.port, settings.workers)
    : Listeners.passed(listenFd);
}

function warnOfPublicKeys({ isPublic }: ApiKeysFile, log: Log): void {
  if (!isPublic) return;
  log.warn({ setting: 'WSHUB_API_KEYS_FILE', advice: 'chmod o-r' }, 'all users can read the API keys file');
}

/** Returns the admin token. On failure, removes the directory that was created for this start. */
function adminToken(settings: Settings, dir: RuntimeDir): AdminToken {
  try {
    return (
      givenAdminToken(settings, process.env['CREDENTIALS_DIRECTORY']) ??
      freshAdminToken(dir.file(tokenFileName))
    );
  } catch (error) {
    dir.remove([]);
    throw error;
  }
}
