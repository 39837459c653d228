/** The HTTP side of the public port: the admin routes, and an answer for whoever comes without a WebSocket. */
import type { Server } from 'node:http';
import { partTimeoutMs, type ActionInput, type Execute } from '../admin/actions.ts';
import type { WorkerOptions } from '../ipc/messages.ts';
import type { RpcClient } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import { adminRoutes } from '../admin/routes.ts';
import { createApp } from '../http/app.ts';
import type { HttpCounters } from '../http/http-counters.ts';
import { createHttpServer } from '../http/server.ts';
import { startTimers } from '../platform/node-internals/http-injection.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../platform/log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { flowing, publishHere } from '../admin/worker-actions.ts';
import { sendToPrimary } from '../ipc/primary-channel.ts';

/** What answers an admin request is the primary; this is for its own delay, on top of what it gives the workers. */
const primaryDelayMs = 2_000;

export function createPublicServer(
  options: WorkerOptions,
  perform: Execute,
  log: Log,
  counters: HttpCounters,
  tracing: Tracing,
): Server {
  const { settings, adminToken } = options;
  const routes = adminRoutes({ token: adminToken, settings, perform, log, counters, tracing });
  const app = createApp([routes], 'upgrade_required', log, counters);
  const server = createHttpServer(settings, Infinity, app.callback(), counters); // the door counts connections
  startTimers(server, `${options.identity.path}.http`);
  return server;
}

/** Admin requests of this worker's port: the primary asks all workers; a publication needs no detour. */
export function askHub(hub: Hub, requests: RpcClient): Execute {
  return async (action, input, trace) => {
    if (action === 'publish') {
      publishHere(hub, input as ActionInput<'publish'>);
      await flowing(hub, (input as ActionInput<'publish'>).channel);
      return { channel: (input as { channel: string }).channel } as never;
    }
    const ask = (id: number) => {
      sendToPrimary({ kind: 'request', id, action, input, trace });
    };
    try {
      return (await requests.call(ask, partTimeoutMs(action) + primaryDelayMs)) as never;
    } catch (cause) {
      throw cause instanceof HubError ? cause : new HubError('unavailable', undefined, { cause });
    }
  };
}
