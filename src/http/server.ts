/**
 * The HTTP server of either port. Malformed requests get a JSON error and are counted. Unread responses and pipelined requests are
 * limited.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HubError } from '../platform/errors.ts';
import type { Settings } from '../config/settings.ts';
import type { HttpCounters } from '../metrics/http-counters.ts';
import { isOpenStream } from '../transport/http-stream/http-stream.ts';
import { refusalOfClientError, refuse } from './refuse.ts';

export type HttpLimits = Pick<
  Settings,
  | 'maxHeaderBytes'
  | 'handshakeTimeoutMs'
  | 'requestTimeoutMs'
  | 'answerTimeoutMs'
  | 'maxPipelinedRequests'
  | 'closeTimeoutMs'
>;

/** Handles requests and its own errors; implemented by Koa's callback. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Refuses the client of a socket, and counts the refusal. */
type Refuse = (socket: Duplex, error: HubError) => void;

/** @param maxConnections limit of connections; Infinity: limited elsewhere */
export function createHttpServer(
  limits: HttpLimits,
  maxConnections: number,
  answer: Answer,
  counters: Pick<HttpCounters, 'answered'>,
): Server {
  const { handshakeTimeoutMs, requestTimeoutMs, closeTimeoutMs } = limits;
  const refuseCounted: Refuse = (socket, error) => {
    counters.answered('other', null, error.status, 0);
    refuse(socket, error, closeTimeoutMs);
  };
  /** unanswered requests of each socket; Node alone would accept as many as fit into 64 KiB: thousands */
  const unanswered = new WeakMap<Socket, number>();
  const bounded = boundedAnswers(answer, limits, unanswered, refuseCounted, counters);
  const options = {
    maxHeaderSize: limits.maxHeaderBytes,
    headersTimeout: handshakeTimeoutMs,
    requestTimeout: Math.max(requestTimeoutMs, handshakeTimeoutMs),
    connectionsCheckingInterval: Math.min(1_000, handshakeTimeoutMs),
    requireHostHeader: false, // app.ts asks for it
    // Any other upgrade (h2c) is ignored, as RFC 9110 section 7.8 allows. So is one behind a request that is not answered
    // yet: 101 must not overtake that answer. Node drops what a client pipelines
    // behind a request whose upgrade is ignored.
    shouldUpgradeCallback: (request: IncomingMessage) =>
      server.listenerCount('upgrade') > 0 && isHandshake(request) && !unanswered.get(request.socket),
  };
  const server: Server = createServer(options, bounded);
  server.on('checkExpectation', bounded); // Node's own answer would have no JSON
  if (maxConnections < Infinity) boundConnections(server, maxConnections, refuseCounted);
  server.on('connect', (_request, socket) => {
    refuseCounted(socket, new HubError('method_not_allowed'));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Other errors come from the connection itself, which cannot be answered.
    const isOfClient = /^(HPE|ERR_HTTP)_/.test(error.code ?? '');
    if (isOfClient && socket.writable) refuseCounted(socket, refusalOfClientError(error));
    else socket.destroy();
  });
  return server;
}

/** Whether ws takes the request; it answers no other upgrade. */
function isHandshake({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
}

/** Refuses excess connections; Node's own `maxConnections` would close them without a response. */
function boundConnections(server: Server, max: number, refuse: Refuse): void {
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    socket.once('close', () => (connections -= 1));
    if (connections <= max) return;
    refuse(socket, new HubError('overloaded', 'the connection limit of this port is reached; try again'));
  });
}

function boundedAnswers(
  answer: Answer,
  { answerTimeoutMs, maxPipelinedRequests }: HttpLimits,
  unanswered: WeakMap<Socket, number>,
  refuse: Refuse,
  counters: Pick<HttpCounters, 'answered'>,
): RequestListener {
  return (request, response) => {
    const { socket } = request;
    if (!socket.writable) return; // the rest of what came with the request for which it was refused or cut off
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > maxPipelinedRequests) {
      refuse(socket, new HubError('rate_limited', 'too many requests that wait for their answers'));
      return;
    }
    unanswered.set(socket, count);
    const deadline = setTimeout(() => {
      if (isOpenStream(response)) return; // it has no end, and limits of its own
      counters.answered(request.method ?? '', null, new HubError('request_timeout').status, 0);
      socket.destroy();
    }, answerTimeoutMs);
    response.on('close', () => {
      clearTimeout(deadline);
      unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1);
    });
    void answer(request, response);
  };
}
