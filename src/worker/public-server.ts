/** The HTTP server behind the public port. */
import type { Server } from 'node:http';
import type { Execute, WorkerParts } from '../admin/action.ts';
import { adminRoutes, type AdminOptions } from '../admin/routes.ts';
import { identifier } from '../auth/api-keys.ts';
import { createApp } from '../http/app.ts';
import { createHttpServer } from '../http/server.ts';
import type { TrustedProxies } from '../http/client-address.ts';
import type { WorkerOptions } from '../ipc/messages.ts';
import { primary, sendToPrimary } from '../ipc/primary-channel.ts';
import type { RpcClient } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import { startTimers } from '../platform/node-internals/http-injection.ts';

/** The primary answers admin requests; this is for its own delay, on top of the time that it gives the workers. */
const primaryDelayMs = 2_000;

interface PublicServerParts extends Pick<AdminOptions, 'perform' | 'log' | 'counters' | 'tracing'> {
  proxies: TrustedProxies;
}

export function createPublicServer(
  { settings, identity, adminToken, apiKeys }: WorkerOptions,
  { proxies, ...parts }: PublicServerParts,
): Server {
  const { log, counters } = parts;
  const address: AdminOptions['address'] = (request) => proxies.trace(request).address;
  const routes = settings.adminPublic
    ? [adminRoutes({ ...parts, identify: identifier(adminToken, apiKeys), address, settings })]
    : [];
  const app = createApp(routes, 'upgrade_required', log, counters);
  // The acceptor counts connections.
  const server = createHttpServer(settings, Infinity, app.callback(), counters);
  startTimers(server, `${identity.path}.http`);
  return server;
}

/** Admin requests of this worker's port: what a single worker does is done here, for all else the primary is asked. */
export function askHub(on: WorkerParts, requests: RpcClient): Execute {
  return async (call, trace) => {
    if (call.target === 'one') return call.part(on);
    const { name, input, timeoutMs } = call;
    try {
      return await requests.call({
        callee: primary,
        name,
        timeoutMs: timeoutMs + primaryDelayMs,
        send: (id) => {
          sendToPrimary({ kind: 'request', id, action: name, input, trace });
          return true; // a worker without its primary ends
        },
      });
    } catch (cause) {
      throw cause instanceof HubError ? cause : new HubError('unavailable', undefined, { cause });
    }
  };
}
