/**
 * One worker: builds its parts from the options of the primary, is ready when it is linked to all siblings, answers
 * the primary, and ends on its order or when the primary has ended.
 *
 *   start ▶ load handlers ▶ mesh listens ─ meshListening ▶ peers ▶ linked ─ ready ▶ listen ▶ clients
 */
import cluster from 'node:cluster';
import { rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { actionNames, isCall } from '../admin/actions.ts';
import { ClientTokens } from '../auth/jwt.ts';
import { CoarseClock } from '../platform/coarse-clock.ts';
import { batchingLimits } from '../channel/batching.ts';
import type { Client } from '../client/client.ts';
import { Clients } from '../client/clients.ts';
import { RateLimiter } from '../client/rate-limiter.ts';
import { Namespaces } from '../config/namespaces.ts';
import type { WorkerOptions } from '../ipc/messages.ts';
import { complaints, parseToWorker } from '../ipc/parse.ts';
import { RpcClient } from '../ipc/rpc.ts';
import { Counters } from '../metrics/counters.ts';
import { HttpCounters } from '../metrics/http-counters.ts';
import { HubError, OperatorError } from '../platform/errors.ts';
import { Commands } from '../handlers/commands.ts';
import { Dispatcher } from '../handlers/dispatch.ts';
import { MemberHooks } from '../handlers/member-hooks.ts';
import { Lifecycle } from '../handlers/lifecycle.ts';
import { loadHandlers, noHandlers } from '../handlers/load.ts';
import { TrustedProxies, unreadableForwarded } from '../http/client-address.ts';
import { refuse } from '../http/refuse.ts';
import { Hub } from '../hub.ts';
import { createLog, type Log } from '../platform/log.ts';
import { ProcessStats } from '../metrics/process-stats.ts';
import { BrokerLink } from '../relay/broker-link/broker-link.ts';
import { MachineRelay } from '../relay/machine-relay.ts';
import { Mesh } from '../relay/mesh/mesh.ts';
import { startTracing } from '../tracing/start.ts';
import { WorkerMetrics } from '../metrics/worker-metrics.ts';
import { version } from '../platform/version.ts';
import { descriptorLimit, socketLimits } from '../platform/descriptors.ts';
import { Acceptor } from '../ingress/acceptor.ts';
import { AdmissionControl } from '../ingress/admission-control.ts';
import { LoadReporter } from './load-reporter.ts';
import { HttpDrain } from './http-drain.ts';
import { GracefulShutdown } from './graceful-shutdown.ts';
import { checkFastPaths } from './fast-paths.ts';
import { warnOfTestSettings } from './test-settings.ts';
import { siblingCalls } from './sibling-calls.ts';
import { controlHandler, type Receive } from './control-handler.ts';
import { askHub, createPublicServer } from './public-server.ts';
import { sendToPrimary, reportFailure } from '../ipc/primary-channel.ts';
import { JoinPipeline } from '../ingress/join-pipeline.ts';
import { Emulation } from '../ingress/emulation.ts';
import { EventStreams } from '../ingress/event-stream-handshake.ts';
import { Handshake } from '../ingress/handshake.ts';
import { SessionHandshake } from '../ingress/session-handshake.ts';
import { sessionStreams } from '../ingress/session-stream-handshake.ts';
import { Sessions } from '../session/sessions.ts';

/** Runs this process as a worker, driven by the primary's messages. */
export function runWorker(): void {
  ignoreSignals();
  let receive: Receive | null = null;
  let complain: () => void = () => undefined;
  process.on('message', (received: unknown, handle: unknown) => {
    const message = parseToWorker(received, isCall);
    if (!message) {
      complain();
    } else if (message.kind === 'start') {
      const log = createLog(
        message.options.settings.logLevel,
        message.options.identity.workerId,
        message.options.settings.logFormat,
      );
      guard(log);
      complain = complaints(log, {});
      startWorker(message.options, log).then(
        (built) => {
          receive = built;
          sendToPrimary({ kind: 'meshListening' });
        },
        (error: unknown) => {
          if (!(error instanceof OperatorError)) log.error({ err: error }, 'worker failed to start');
          reportFailure(error);
        },
      );
    } else if (receive) {
      receive(message, handle);
    } else if (message.kind === 'ping') {
      sendToPrimary({ kind: 'pong', connections: 0, linked: true, rssBytes: 0 });
    }
  });
}

/** Builds the worker; siblings can dial it when the promise resolves. */
async function startWorker(options: WorkerOptions, log: Log): Promise<Receive> {
  const { settings, identity } = options;
  const counters = new Counters();
  const fastPaths = await checkFastPaths(log);
  const handlers = settings.handlers === undefined ? noHandlers : await loadHandlers(settings.handlers);
  const { trustTraceparent, traceChannels } = settings;
  const tracing = await startTracing({
    worker: identity.workerId,
    version,
    unixOffset: options.unixOffset,
    trustTraceparent,
    traceChannels,
    errors: counters.relayErrors,
    complain: (reason) => {
      log.warn({ reason }, 'traces are not sent');
    },
  });
  const { workerId } = identity;
  const { maxBatchDelayMs, workers } = settings;
  const namespaces = Namespaces.from(settings);
  const mesh = new Mesh(identity, batchingLimits(maxBatchDelayMs, workers), log, counters);
  const streams =
    options.brokerPath === null
      ? null
      : new BrokerLink({
          path: options.brokerPath,
          hubId: identity.hubId,
          workerId,
          log,
          handleMembers: MemberHooks.exist(handlers)
            ? (event, done) => {
                memberHooks.handle(event, done);
              }
            : null,
          events: {
            publication: (channel, delivery) => {
              hub.publication(channel, delivery);
            },
            gap: (channel) => {
              hub.gap(channel);
            },
            member: (channel, event) => {
              hub.member(channel, event);
            },
            relayed: (channel, payload, trace) => {
              machineRelay?.relayed(channel, payload, trace);
            },
            congested: (isCongested) => {
              hub.brokerCongested(isCongested);
            },
            up: () => undefined,
            down: () => undefined,
          },
        });
  const machineRelay: MachineRelay | null =
    streams && settings.engine !== 'embedded'
      ? new MachineRelay({
          mesh,
          machines: streams.machines,
          hasHistory: (channel) => (namespaces.of(channel)?.historySize ?? 0) > 0,
          counters,
        })
      : null;
  const hub: Hub = new Hub({
    workerId,
    maxBatchDelayMs,
    workers,
    relay: machineRelay ?? mesh,
    namespaces,
    streams,
    engineDown: machineRelay && settings.engineDown,
    connections: () => clients.registry.size,
    counters,
    onTraced: tracing.delivered,
    onAppended: tracing.appended,
  });
  const commands = new Commands(hub, mesh, handlers, settings.handlerTimeoutMs, log);
  const { handlerTimeoutMs } = settings;
  const lifecycle = new Lifecycle(handlers, commands.handle, handlerTimeoutMs, log);
  const clock = new CoarseClock();
  const inbound = new RateLimiter(settings, clock, counters);
  const sessionLimits = { ...settings, maxPayload: settings.maxCommandBytes };
  const dispatcher = new Dispatcher(
    handlers,
    hub,
    commands.handle,
    handlerTimeoutMs,
    log,
    counters,
    inbound,
    tracing,
  );
  const memberHooks = new MemberHooks(handlers, commands.handle, dispatcher.runner, log);
  const sockets = socketLimits(settings.maxConnections, descriptorLimit());
  if (sockets.connections < (settings.maxConnections ?? 0)) {
    log.warn({ maxConnections: sockets.connections }, 'the limit of open files allows fewer connections');
  }
  const tokens = ClientTokens.from(settings, (reason) => {
    log.warn({ reason }, 'the key set cannot be fetched; its last keys are used for up to a day');
  });
  const proxies = new TrustedProxies(settings.trustProxy, unreadableForwarded(log));
  const admission = new AdmissionControl({
    settings,
    maxConnections: sockets.connections,
    isOpen: tokens === null,
    proxies,
    hub,
    counters,
    log,
  });
  const clients: Clients = new Clients({
    limits: settings,
    subscriptions: hub,
    receiver: dispatcher,
    inbound,
    leave: (quota) => {
      admission.leave(quota);
    },
    counters,
    log,
  });
  clients.heartbeat.start(settings.pingIntervalMs);
  const { registry, slowConsumers } = clients;
  const { connected } = dispatcher;
  const joins = new JoinPipeline({
    subscribing: (subscriber) => dispatcher.subscribing(subscriber),
    hub,
    clients,
    guards: { admission, tokens },
    connected,
    tracing,
    log,
    counters,
  });
  const sessions = new Sessions({
    hub,
    clients,
    dispatcher,
    tokens,
    inbound: new RateLimiter(sessionLimits, clock, counters),
    settings,
    fits: (channel) => admission.fits(channel),
    counters,
    log,
  });
  const sessionHandshake = new SessionHandshake({ sessions, admission, settings, counters });
  const upgrade = new Handshake({ sessions: sessionHandshake, joins, admission, settings, tracing });
  /** The response of this socket has become a stream. */
  const opened = (socket: Socket) => {
    acceptor.upgrades(socket);
    httpDrain.release(socket);
  };
  const eventStreams = new EventStreams({ joins, admission, settings, tracing, opened });
  const emulation = new Emulation(workerId, mesh);
  const requests = new RpcClient();
  const http = new HttpCounters(actionNames);
  const checkOpen = () => {
    joins.checkOpen();
  };
  const streamRoutes = sessionStreams({
    sessions,
    emulation,
    admission,
    checkOpen,
    settings,
    counters,
    http,
    opened,
  });
  const probe = new ProcessStats();
  const metrics = new WorkerMetrics(options.slot, {
    counters,
    holdings: { hub, clients: registry, mesh, slowConsumers },
    http,
    probe,
    maxConnections: sockets.connections,
    fastPaths,
  });
  const renew = (client: Client, expiresAt: number) => {
    clients.renew(client, client.grant, expiresAt);
  };
  const parts = { hub, clients: registry, renew, mesh, counters, probe, tracing };
  const perform = askHub(parts, requests);
  const server = createPublicServer(options, {
    perform,
    proxies,
    streamRoutes,
    take: eventStreams.take,
    log,
    counters: http,
    tracing,
  });
  const acceptor = new Acceptor({
    handshakeTimeoutMs: settings.handshakeTimeoutMs,
    closeTimeoutMs: settings.closeTimeoutMs,
    maxSockets: sockets.sockets,
    // Behind a proxy all connections have its address, and the proxy has its own limits.
    maxUnfinished: proxies.any ? 0 : settings.maxConnectionsPerAddress,
    refused: admission.count,
    accepted: () => {
      loadReporter.accepted();
    },
    quotaReached: (index) => {
      sendToPrimary({ kind: 'filled', index });
    },
    upgrade: upgrade.handle,
    http: (socket) => server.emit('connection', socket),
  });
  const httpDrain = new HttpDrain(server, (socket) => {
    const error = new HubError('unavailable');
    http.answered('other', null, error.status, 0);
    refuse(socket, error, settings.closeTimeoutMs);
  });
  server.on('request', ({ socket }) => {
    acceptor.heard(socket);
  });
  server.on('upgrade', (request, socket, head) => {
    acceptor.upgrades(request.socket);
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- it came through the acceptor
    upgrade.handle(request, socket as Socket, head);
  });
  if (options.slot === 0) warnOfTestSettings(settings, log);
  const loadReporter = new LoadReporter(
    () => admission.inside + acceptor.pending,
    (count, soon) => {
      sendToPrimary({ kind: 'clients', count, soon });
    },
  );
  clock.start((now) => {
    loadReporter.tick();
    clients.sweep(now);
    sessions.sweep(now);
    admission.sweep(now);
    acceptor.sweep(now);
  });

  const last = { flush: () => tracing.shutdown(), counters: () => metrics.counters() };
  const leave = new GracefulShutdown({
    acceptor,
    http: httpDrain,
    clients: registry,
    mesh,
    streams,
    joins,
    dispatcher,
    commands,
    lifecycle,
    log,
    last,
  });

  cluster.worker?.on('disconnect', () => {
    // The primary has ended, and the port with it: this worker can serve no clients, and it must clean up.
    log.fatal('the primary is gone');
    mesh.close();
    streams?.close();
    if (options.ownsRuntimeDir) rmSync(options.runtimeDir, { recursive: true, force: true });
    process.exit(1);
  });

  await mesh.listen(siblingCalls(emulation, commands));
  streams?.open();
  return controlHandler(
    { ...parts, streams, acceptor, commands, lifecycle, requests, metrics, leave, log },
    settings,
  );
}

/**
 * Ignores signals: Ctrl-C of a terminal and signals of a process manager reach the whole process group, and the
 * primary decides about them.
 */
function ignoreSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
}

/** An unhandled rejection in user code must not kill the worker; an uncaught exception (unknown state) must. */
function guard(log: Log): void {
  process.on('unhandledRejection', (error) => {
    log.error({ err: error }, 'a promise was rejected and nobody handled it');
  });
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
}
