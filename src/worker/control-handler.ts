/** Handles the primary's messages in a worker. */
import type { WorkerParts } from '../admin/action.ts';
import { parseCall } from '../admin/actions.ts';
import type { ToWorker } from '../ipc/messages.ts';
import type { RpcClient } from '../ipc/rpc.ts';
import { HubError, OperatorError, messageOf } from '../platform/errors.ts';
import { listenFault } from '../http/listen.ts';
import type { Commands } from '../handlers/commands.ts';
import type { Lifecycle } from '../handlers/lifecycle.ts';
import type { Log } from '../platform/log.ts';
import type { WorkerMetrics } from '../metrics/worker-metrics.ts';
import type { Settings } from '../config/settings.ts';
import type { BrokerLink } from '../relay/broker-link/broker-link.ts';
import type { Acceptor } from '../ingress/acceptor.ts';
import type { GracefulShutdown } from './graceful-shutdown.ts';
import { primary, sendToPrimary, reportFailure } from '../ipc/primary-channel.ts';

/** Handles a message of the primary, with the handle passed along. */
export type Receive = (message: ToWorker, handle: unknown) => void;

/** The parts of the worker that messages act on. */
export interface ControlParts extends WorkerParts {
  /** null: there is no broker */
  streams: Pick<BrokerLink, 'presence' | 'whenUp'> | null;
  acceptor: Acceptor;
  commands: Pick<Commands, 'open'>;
  lifecycle: Pick<Lifecycle, 'start'>;
  requests: RpcClient;
  metrics: WorkerMetrics;
  leave: GracefulShutdown;
  log: Log;
}

export function controlHandler(
  parts: ControlParts,
  { host, port }: Pick<Settings, 'host' | 'port'>,
): Receive {
  const { clients, mesh, streams, probe, acceptor, commands, lifecycle, requests, metrics, leave } = parts;
  let named = false;
  return (message, handle) => {
    switch (message.kind) {
      case 'peers':
        mesh.setPeers(message.peers);
        if (!named) {
          mesh.whenLinked(() => {
            const start = () => {
              lifecycle.start().then(() => {
                commands.open();
                streams?.presence.beginHandling();
                sendToPrimary({ kind: 'ready' });
              }, reportFailure);
            };
            if (streams) streams.whenUp(start);
            else start();
          });
        }
        named = true;
        break;
      case 'listen': {
        const from = message.address ? { ...message.address, reusePort: true } : handle;
        // A process without free descriptors does not receive the socket; without it, it would listen on a random port.
        if (typeof from !== 'object' || from === null) break;
        acceptor.listen(message.index, from).then(
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
      case 'release':
        acceptor.release(message.index);
        break;
      case 'quota':
        acceptor.setQuota(message.index, message.clients);
        break;
      case 'ping':
        sendToPrimary({ kind: 'counted', snapshot: metrics.counters() });
        sendToPrimary({
          kind: 'pong',
          connections: clients.size,
          linked: mesh.linked,
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
      case 'start': // handled before
        break;
    }
  };
}

async function answer(parts: ControlParts, ask: Extract<ToWorker, { kind: 'ask' }>): Promise<void> {
  const { id, action, input, trace } = ask;
  const { tracing, leave, log } = parts;
  const span = tracing.on && trace !== undefined ? tracing.control(action, trace) : null;
  leave.asks += 1;
  try {
    // A worker that has left the mesh has no clients, and its publications would reach none.
    const part = leave.left ? null : await parseCall(action, input)?.part({ ...parts, trace });
    span?.end(200);
    sendToPrimary({ kind: 'part', id, part });
  } catch (error) {
    const refusal = error instanceof HubError ? error : new HubError('internal');
    if (refusal !== error) log.error({ err: error, action }, 'admin action failed');
    span?.end(refusal.status);
    sendToPrimary({ kind: 'refusal', id, code: refusal.code, message: refusal.message });
  } finally {
    leave.asks -= 1;
  }
}
