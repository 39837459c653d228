/** What the primary's messages mean to a worker whose parts are built. */
import type { WorkerParts } from '../admin/action.ts';
import { parseCall } from '../admin/actions.ts';
import type { ToWorker } from '../ipc/messages.ts';
import type { RpcClient } from '../ipc/rpc.ts';
import { HubError, OperatorError, messageOf } from '../platform/errors.ts';
import { listenFault } from '../http/listen.ts';
import type { Commands } from '../handlers/commands.ts';
import type { Log } from '../platform/log.ts';
import type { Tracing } from '../tracing/tracing.ts';
import type { WorkerMetrics } from '../metrics/worker-metrics.ts';
import type { Settings } from '../config/settings.ts';
import type { Acceptor } from '../ingress/acceptor.ts';
import type { GracefulShutdown } from './graceful-shutdown.ts';
import { primary, sendToPrimary, reportFailure } from '../ipc/primary-channel.ts';

/** Takes a message of the primary's, and what comes along with it. */
export type Receive = (message: ToWorker, handle: unknown) => void;

/** What the orders are for. */
export interface ControlParts extends WorkerParts {
  door: Acceptor;
  commands: Pick<Commands, 'open'>;
  requests: RpcClient;
  metrics: WorkerMetrics;
  leave: GracefulShutdown;
  tracing: Tracing;
  log: Log;
}

export function controlHandler(
  parts: ControlParts,
  { pingIntervalMs, host, port }: Pick<Settings, 'pingIntervalMs' | 'host' | 'port'>,
): Receive {
  const { hub, probe, door, commands, requests, metrics, leave } = parts;
  let named = false;
  return (message, handle) => {
    switch (message.kind) {
      case 'peers':
        hub.mesh.setPeers(message.peers);
        if (!named) {
          hub.mesh.whenLinked(() => {
            commands.open();
            hub.clients.startPinging(pingIntervalMs);
            sendToPrimary({ kind: 'ready' });
          });
        }
        named = true;
        break;
      case 'listen': {
        const from = message.address ? { ...message.address, reusePort: true } : handle;
        // Without the socket, which a process without descriptors cannot be given, it would listen on any port.
        if (typeof from !== 'object' || from === null) break;
        door.listen(message.index, from).then(
          () => {
            sendToPrimary({ kind: 'part', id: message.id, part: null });
          },
          (cause: unknown) => {
            const code = (cause as NodeJS.ErrnoException).code ?? messageOf(cause);
            reportFailure(new OperatorError(listenFault('WSHUB_PORT', host, port, code), { cause }));
          },
        );
        break;
      }
      case 'giveBack':
        door.release(message.index);
        break;
      case 'quota':
        door.setQuota(message.index, message.clients);
        break;
      case 'ping':
        sendToPrimary({ kind: 'counted', snapshot: metrics.counters() });
        sendToPrimary({
          kind: 'pong',
          connections: hub.clients.size,
          linked: hub.mesh.linked,
          rssBytes: probe.residentBytes,
        });
        break;
      case 'ask':
        void answer(parts, message);
        break;
      case 'collect':
        sendToPrimary({ kind: 'part', id: message.id, part: metrics.snapshot() });
        break;
      case 'answer':
        requests.answer(primary, message.id, message.answer);
        break;
      case 'refusal':
        requests.fail(primary, message.id, new HubError(message.code, message.message));
        break;
      case 'drain':
        leave.follow(message.order);
        break;
      case 'start': // has been
        break;
    }
  };
}

async function answer(parts: ControlParts, ask: Extract<ToWorker, { kind: 'ask' }>): Promise<void> {
  const { id, action, input, trace } = ask;
  const { tracing, leave, log } = parts;
  const span = tracing.on && trace !== undefined ? tracing.control(action, trace) : null;
  try {
    // A worker that has left the mesh has no clients, and nobody would get what it publishes.
    const part = leave.left ? null : await parseCall(action, input)?.part(parts);
    span?.end(200);
    sendToPrimary({ kind: 'part', id, part });
  } catch (error) {
    const refusal = error instanceof HubError ? error : new HubError('internal');
    if (refusal !== error) log.error({ err: error, action }, 'admin action failed');
    span?.end(refusal.status);
    sendToPrimary({ kind: 'refusal', id, code: refusal.code, message: refusal.message });
  }
}
