/**
 * From an HTTP upgrade request to a connection on its channel: the name is checked, ws makes the handshake, the
 * hub joins. Refusals are answered with JSON before any WebSocket exists.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type Server, type ServerOptions } from 'ws';
import { channelOfTarget } from '../channel/name.ts';
import { Connection } from '../connection/connection.ts';
import { HubSocket, type ConnectionEvents } from '../connection/hub-socket.ts';
import type { Settings } from '../config.ts';
import { HubError } from '../errors.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import { refuse } from '../http/refuse.ts';
import type { Hub } from '../hub.ts';
import type { Log } from '../log.ts';
import { connectedMessage } from '../protocol/plain.ts';

export class Upgrade implements ConnectionEvents {
  readonly #hub: Hub;
  readonly #dispatcher: Dispatcher;
  readonly #log: Log;
  readonly #server: Server<typeof HubSocket>;
  /** the worker is about to end: nobody is let in any more */
  #closed = false;

  constructor(hub: Hub, dispatcher: Dispatcher, settings: Settings, log: Log) {
    this.#hub = hub;
    this.#dispatcher = dispatcher;
    this.#log = log;
    const options: ServerOptions<typeof HubSocket> & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      maxPayload: settings.maxPayload,
      closeTimeout: settings.closeTimeoutMs, // @types/ws 8.18 does not have it yet
      WebSocket: HubSocket,
    };
    this.#server = new WebSocketServer<typeof HubSocket>(options);
    this.#server.on('wsClientError', (error: Error, socket: Duplex) => {
      refuse(socket, new HubError('bad_request', error.message));
    });
  }

  /** From now on every request is refused with `unavailable`. */
  close(): void {
    this.#closed = true;
  }

  /** The HTTP server's `upgrade` event. */
  readonly handle = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const target = request.url ?? '';
    const channel = channelOfTarget(target);
    if (this.#closed) {
      refuse(socket, new HubError('unavailable'));
    } else if (channel === null) {
      refuse(socket, new HubError('bad_channel'));
    } else {
      this.#server.handleUpgrade(request, socket, head, (ws) => {
        this.#open(ws, request.socket, channel, wantsEcho(target));
      });
    }
  };

  message(connection: Connection, data: Buffer, isBinary: boolean): void {
    const channel = connection.channels[0];
    if (channel) this.#dispatcher.message(connection, channel.name, data, isBinary);
  }

  ended(connection: Connection): void {
    this.#hub.connectionSet.delete(connection);
    this.#dispatcher.disconnected(connection);
    this.#log.debug({ connectionId: connection.id }, 'connection closed');
  }

  #open(ws: HubSocket, socket: Socket, channel: string, echo: boolean): void {
    const connection = new Connection(ws, socket, echo, this.#hub);
    ws.attach(connection, this);
    this.#hub.connectionSet.add(connection);
    this.#log.debug({ connectionId: connection.id, channel }, 'connection opened');
    this.#hub.join(connection, channel, () => {
      connection.send(connectedMessage(connection.id, this.#hub.workerId, channel));
      if (connection.paused) connection.resume();
      this.#dispatcher.connected(connection, channel);
    });
    // What the client says before it is on the channel waits in the socket.
    if (connection.state === 'joining') connection.pause();
  }
}

/** `echo=false` in the query: the connection does not get its own messages back. */
function wantsEcho(target: string): boolean {
  const query = target.indexOf('?');
  return query === -1 || new URLSearchParams(target.slice(query)).get('echo') !== 'false';
}
