/** The HTTP server behind the public port. */
import type { Server } from 'node:http';
import type { Router } from '@koa/router';
import type { Call, Execute, WorkerParts } from '../admin/action.ts';
import { adminRoutes, type AdminOptions } from '../admin/routes.ts';
import { identifier } from '../auth/api-keys.ts';
import { createApp, type NothingHere } from '../http/app.ts';
import { createHttpServer } from '../http/server.ts';
import type { TrustedProxies } from '../http/client-address.ts';
import type { WorkerOptions } from '../ipc/messages.ts';
import { primary, sendToPrimary } from '../ipc/primary-channel.ts';
import type { RpcClient } from '../ipc/rpc.ts';
import { HubError } from '../platform/errors.ts';
import { startTimers } from '../platform/node-internals/http-injection.ts';

/** Time for the primary itself, in addition to the timeout of the action. */
const primaryDelayMs = 2_000;

interface PublicServerParts extends Pick<AdminOptions, 'perform' | 'log' | 'counters' | 'tracing'> {
  proxies: TrustedProxies;
  /** of sessions over HTTP streams */
  streamRoutes: Router;
  /** see NothingHere */
  take: NonNullable<NothingHere['take']>;
}

export function createPublicServer(
  { settings, identity, adminToken, apiKeys }: WorkerOptions,
  { proxies, streamRoutes, take, ...parts }: PublicServerParts,
): Server {
  const { log, counters } = parts;
  const address: AdminOptions['address'] = (request) => proxies.trace(request).address;
  const admin = settings.adminPublic
    ? [adminRoutes({ ...parts, identify: identifier(adminToken, apiKeys), address, settings })]
    : [];
  const app = createApp([...admin, streamRoutes], { code: 'upgrade_required', take }, log, counters);
  // The acceptor counts connections.
  const server = createHttpServer(settings, Infinity, app.callback(), counters);
  startTimers(server, `${identity.path}.http`);
  return server;
}

/** Executes admin requests of this worker's port: actions of a single worker here, all others through the primary. */
export function askHub(on: WorkerParts, requests: RpcClient): Execute {
  return async <Answer>(call: Call<Answer>, trace?: string) => {
    if (call.target === 'one' || call.target === 'any') return (await call.part({ ...on, trace })) as Answer;
    const { name, input, timeoutMs } = call;
    try {
      const answer = await requests.call({
        callee: primary,
        name,
        timeoutMs: timeoutMs + primaryDelayMs,
        send: (id) => {
          sendToPrimary({ kind: 'request', id, action: name, input, trace });
          return true; // a worker without its primary ends
        },
      });
      return answer as Answer;
    } catch (cause) {
      throw cause instanceof HubError ? cause : new HubError('unavailable', undefined, { cause });
    }
  };
}
