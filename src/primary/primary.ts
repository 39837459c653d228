/**
 * The primary: builds its parts from the settings, starts the hub, serves the ops port, and ends everything on a
 * signal. It stays alive and answers when a worker is in trouble.
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { unixOffset } from '../clock.ts';
import type { Settings } from '../settings.ts';
import { adminRoutes } from '../http/admin-routes.ts';
import { createApp } from '../http/app.ts';
import { HttpCounters } from '../http/http-counters.ts';
import { listen } from '../http/listen.ts';
import { metricsRoute } from '../http/metrics-route.ts';
import { probes } from '../http/probes.ts';
import { createJsonServer } from '../http/server.ts';
import { createLog } from '../log.ts';
import { Collector } from '../observability/collector.ts';
import { primarySnapshot } from '../observability/primary-metrics.ts';
import { ProcessProbe } from '../observability/process-probe.ts';
import { scraped } from '../observability/scrape.ts';
import { startTracing } from '../observability/tracing.ts';
import { detectManager } from '../service/detect.ts';
import { passedSocket } from '../service/socket-activation.ts';
import { systemdVariables } from '../service/systemd.ts';
import { feedWatchdog } from '../service/watchdog.ts';
import { revision, version } from '../version.ts';
import { readAdminToken, tokenFileName, type AdminToken } from './admin-token.ts';
import { askWorkers } from './ask-workers.ts';
import { stopOrder } from './drain-orders.ts';
import { Lifecycle } from './lifecycle.ts';
import type { WorkerCommon } from './members.ts';
import { Reload } from './reload.ts';
import { RuntimeDir } from './runtime-dir.ts';
import { stopOnSignal } from './stop.ts';
import { Supervisor } from './supervisor.ts';
import { logTotals } from './totals.ts';

const opsTimeouts = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 1_000 };

/**
 * Runs this process as the primary until a signal ends it.
 * @param read reads the settings anew, for a reload
 * @param exec the file that a worker process runs
 * @throws {OperatorError} as a rejection: the hub cannot start, or no worker can be started any more
 */
export async function runPrimary(settings: Settings, read: () => Settings, exec: string): Promise<void> {
  const startedAt = performance.now();
  const log = createLog(settings.logLevel, 'primary');
  const dir = new RuntimeDir(settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY']);
  await dir.lock();
  const admin = adminToken(settings, dir);
  const listenFd = passedSocket(process.env, process.pid);
  const manager = detectManager(process, log);
  // The workers run the user's code.
  for (const name of ['WSHUB_ADMIN_TOKEN', ...systemdVariables]) Reflect.deleteProperty(process.env, name);
  log.info({ version, node: process.version, runtimeDir: dir.path, adminToken: admin.source }, 'hub starts');

  const lifecycle = new Lifecycle();
  const workersOf = (given: Settings): WorkerCommon => ({
    settings: { ...given, adminToken: undefined },
    adminToken: admin.token,
    ownsRuntimeDir: dir.temporary,
    runtimeDir: dir.path,
    listenFd,
    unixOffset,
  });
  const supervisor = new Supervisor({
    exec,
    worker: workersOf(settings),
    lifecycle,
    hubId: randomUUID(),
    socketPath: (workerId) => dir.file(`${workerId}.sock`),
    log,
  });
  const perform = askWorkers(() => supervisor.workers, { version, startedAt });
  supervisor.perform = perform;

  const counters = new HttpCounters();
  const probe = new ProcessProbe();
  const collector = new Collector(
    () => supervisor.workers,
    (collection) => primarySnapshot({ version, revision }, supervisor, counters, probe, collection),
  );
  supervisor.bookkeeper = collector;

  const { trustTraceparent, traceChannels } = settings;
  const tracing = await startTracing({
    worker: 'primary',
    version,
    unixOffset,
    trustTraceparent,
    traceChannels,
    errors: { decode: 0, version: 0 }, // no message comes to the primary
  });
  const routes = adminRoutes({ token: admin.token, settings, perform, log, counters, tracing });
  const routers = [probes(supervisor), metricsRoute(scraped(collector)), routes];
  const ops = createJsonServer(createApp(routers, 'not_found', log, counters), opsTimeouts);
  const cleanUp = () => {
    ops.close();
    ops.closeAllConnections();
    dir.remove(admin.written === undefined ? [] : [admin.written]);
  };
  const status = () => `${supervisor.expected} workers serve`;
  const reloadHost = {
    read,
    replace: async (given: Settings) => {
      const replaced = await supervisor.reload(workersOf(given));
      log.level = given.logLevel;
      return replaced;
    },
    reloading: () => {
      manager.reloading();
    },
    reloaded: () => {
      manager.ready(status());
    },
  };
  const reload = new Reload(settings, reloadHost, lifecycle, log);
  const stopped = stopOnSignal({
    onStop: (stop) => {
      manager.onStop(stop);
    },
    stop: async (cause) => {
      log.info({ signal: cause }, 'hub stops');
      manager.stopping();
      reload.stop();
      await supervisor.stop(stopOrder(reload.settings));
      cleanUp();
      log.info('hub stopped');
    },
    abort: (cause) => {
      log.warn({ signal: cause }, 'second signal: the hub ends at once');
      supervisor.killAll();
      cleanUp();
    },
  });
  process.on('SIGHUP', () => undefined); // until there is something to reload
  try {
    await listen(ops, settings.opsHost, settings.opsPort, 'WSHUB_OPS_PORT');
    const hopeless = supervisor.hopeless;
    const port = await Promise.race([supervisor.start(), hopeless, stopped]);
    if (port !== undefined) {
      const opsPort = (ops.address() as AddressInfo).port;
      log.info({ port, opsPort, workers: settings.workers }, 'hub ready');
      logTotals(() => supervisor.connections, log);
      manager.ready(status());
      feedWatchdog(manager, () => supervisor.alive);
      process.on('SIGHUP', () => {
        reload.request();
      });
      await Promise.race([stopped, hopeless]);
      await tracing.shutdown();
    }
  } catch (error) {
    supervisor.killAll();
    cleanUp();
    throw error;
  }
}

/** The admin token; without one the directory that was made for this start goes again. */
function adminToken(settings: Settings, dir: RuntimeDir): AdminToken {
  try {
    return readAdminToken({
      file: settings.adminTokenFile,
      value: settings.adminToken,
      credentialsDir: process.env['CREDENTIALS_DIRECTORY'],
      generatedFile: dir.file(tokenFileName),
    });
  } catch (error) {
    dir.remove([]);
    throw error;
  }
}
