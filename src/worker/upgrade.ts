/**
 * From an HTTP upgrade request to a connection on its channel: the name is checked, the siblings learn of the
 * channel, ws makes the handshake. Refusals are answered with JSON before any WebSocket exists.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type Server, type ServerOptions } from 'ws';
import type { Channel } from '../channel/channel.ts';
import { channelOfTarget } from '../channel/name.ts';
import { now } from '../clock.ts';
import { Connection } from '../connection/connection.ts';
import { HubSocket, type ConnectionEvents } from '../connection/hub-socket.ts';
import type { Settings } from '../config.ts';
import type { Counters } from '../counters.ts';
import { HubError } from '../errors.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import { refuse } from '../http/refuse.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../log.ts';
import { noTracing, type RequestSpan, type Tracing } from '../observability/tracing.ts';
import { connectedMessage } from '../protocol/plain.ts';

export class Upgrade implements ConnectionEvents {
  readonly #hub: Hub;
  readonly #dispatcher: Dispatcher;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #tracing: Tracing;
  readonly #server: Server<typeof HubSocket>;
  /** the worker is about to end: nobody is let in any more */
  #closed = false;

  constructor(
    hub: Hub,
    dispatcher: Dispatcher,
    settings: Settings,
    log: Log,
    counters: Counters,
    tracing: Tracing = noTracing,
  ) {
    this.#hub = hub;
    this.#dispatcher = dispatcher;
    this.#log = log;
    this.#counters = counters;
    this.#tracing = tracing;
    const options: ServerOptions<typeof HubSocket> & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      maxPayload: settings.maxPayload,
      closeTimeout: settings.closeTimeoutMs, // @types/ws 8.18 does not have it yet
      WebSocket: HubSocket,
    };
    this.#server = new WebSocketServer<typeof HubSocket>(options);
    this.#server.on('wsClientError', (error: Error, socket: Duplex) => {
      counters.rejected.bad_request += 1;
      refuse(socket, new HubError('bad_request', error.message));
    });
  }

  /** From now on every request is refused with `unavailable`. */
  close(): void {
    this.#closed = true;
  }

  /** The HTTP server's `upgrade` event. */
  readonly handle = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const startedAt = now();
    const target = request.url ?? '';
    const name = channelOfTarget(target);
    const { traceparent } = request.headers;
    const span = this.#tracing.on ? this.#tracing.upgrade(name, startedAt, traceparent) : null;
    if (this.#closed) {
      this.#counters.rejected.draining += 1;
      refuse(socket, new HubError('unavailable'));
      span?.end(503);
    } else if (name === null) {
      this.#counters.rejected.bad_request += 1;
      refuse(socket, new HubError('bad_channel'));
      span?.end(400);
    } else {
      this.#join(name, request, socket, head, startedAt, span);
    }
  };

  message(connection: Connection, data: Buffer, isBinary: boolean): void {
    const channel = connection.channels[0];
    if (channel) this.#dispatcher.message(connection, channel.name, data, isBinary);
  }

  ended(connection: Connection): void {
    this.#hub.connectionSet.delete(connection);
    this.#counters.closed[connection.ending] += 1;
    if (connection.ending === 'message_too_big') this.#counters.messageErrors.too_big += 1;
    this.#dispatcher.disconnected(connection);
    this.#log.debug({ connectionId: connection.id }, 'connection closed');
  }

  /** The handshake is answered once the channel is known everywhere; what the client says before waits unread. */
  #join(
    name: string,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    startedAt: number,
    span: RequestSpan | null,
  ): void {
    socket.on('error', ignore);
    const channel = this.#hub.claim(name);
    this.#hub.whenKnown(channel, () => {
      if (this.#closed) {
        this.#hub.abandon(channel);
        this.#counters.rejected.draining += 1;
        refuse(socket, new HubError('unavailable'));
        span?.end(503);
        return;
      }
      socket.cork(); // handshake and `connected` leave in one write
      const ws = this.#handshake(request, socket, head);
      if (ws) this.#open(ws, request, channel, startedAt);
      else this.#hub.abandon(channel);
      span?.end(ws ? 101 : 400);
      socket.uncork();
    });
  }

  /** Undefined if ws has refused it or the client is gone. */
  #handshake(request: IncomingMessage, socket: Duplex, head: Buffer): HubSocket | undefined {
    const opened: HubSocket[] = [];
    this.#server.handleUpgrade(request, socket, head, (ws) => opened.push(ws)); // calls back before it returns
    return opened[0];
  }

  #open(ws: HubSocket, request: IncomingMessage, channel: Channel<Connection>, startedAt: number): void {
    const connection = new Connection(ws, request.socket, wantsEcho(request.url ?? ''), this.#hub);
    ws.attach(connection, this);
    this.#hub.connectionSet.add(connection);
    this.#counters.opened += 1;
    this.#hub.join(channel, connection);
    connection.send(connectedMessage(connection.id, this.#hub.workerId, channel.name));
    this.#counters.handshake.observe(now() - startedAt);
    this.#log.debug({ connectionId: connection.id, channel: channel.name }, 'connection opened');
    this.#dispatcher.connected(connection, channel.name);
  }
}

function ignore(): void {
  // A client that goes while it waits is noticed when its turn comes.
}

/** `echo=false` in the query: the connection does not get its own messages back. */
function wantsEcho(target: string): boolean {
  const query = target.indexOf('?');
  return query === -1 || new URLSearchParams(target.slice(query)).get('echo') !== 'false';
}
