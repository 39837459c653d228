/**
 * The HTTP server of either port. What is no request is answered with the JSON of the error table and counted; what a
 * client leaves unread, or asks without waiting for answers, is bounded.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { HubError } from '../errors.ts';
import type { HttpCounters } from './http-counters.ts';
import { refusalOfClientError, refuse } from './refuse.ts';

/** Requests of one connection that may wait for their answers. Node would keep all that fit into 64 KiB: thousands. */
export const maxPipelined = 16;

export interface HttpServerOptions extends ServerOptions {
  /** milliseconds from a request's headers until its answer must have been taken */
  answerTimeoutMs: number;
}

export const answerTimeoutMs = 60_000;

/** What answers; koa's callback fits. It handles its own errors. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export function createHttpServer(
  options: HttpServerOptions,
  answer: Answer,
  counters: Pick<HttpCounters, 'answered'>,
): Server {
  const bounded = boundedAnswers(answer, options.answerTimeoutMs, counters);
  // app.ts asks for the Host header.
  const server = createServer({ ...options, requireHostHeader: false }, bounded);
  server.on('checkExpectation', bounded); // Node's own answer would have no JSON
  const refuseCounted = (socket: Parameters<typeof refuse>[0], error: HubError) => {
    counters.answered('other', null, error.status, 0);
    refuse(socket, error);
  };
  // More connections than `maxConnections`: closed by Node before anything is read.
  server.on('drop', () => {
    counters.answered('other', null, new HubError('overloaded').status, 0);
  });
  server.on('connect', (_request, socket) => {
    refuseCounted(socket, new HubError('method_not_allowed'));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // The others come from the connection itself, and there is nobody to answer any more.
    const isOfClient = /^(HPE|ERR_HTTP)_/.test(error.code ?? '');
    if (isOfClient && socket.writable) refuseCounted(socket, refusalOfClientError(error));
    else socket.destroy();
  });
  return server;
}

function boundedAnswers(
  answer: Answer,
  timeoutMs: number,
  counters: Pick<HttpCounters, 'answered'>,
): RequestListener {
  const waiting = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    if (socket.destroyed) return; // the rest of what came with the request for which it was cut off
    const count = (waiting.get(socket) ?? 0) + 1;
    if (count > maxPipelined) {
      counters.answered(request.method ?? '', null, new HubError('rate_limited').status, 0);
      socket.destroy();
      return;
    }
    waiting.set(socket, count);
    const deadline = setTimeout(() => {
      counters.answered(request.method ?? '', null, new HubError('request_timeout').status, 0);
      socket.destroy();
    }, timeoutMs);
    response.on('close', () => {
      clearTimeout(deadline);
      waiting.set(socket, (waiting.get(socket) ?? 1) - 1);
    });
    void answer(request, response);
  };
}
