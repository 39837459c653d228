/** The HTTP server of both ports: what Node would refuse by itself, without a code or a word, is refused as JSON. */
import { createServer, type Server, type ServerOptions } from 'node:http';
import type Koa from 'koa';
import { HubError } from '../errors.ts';
import { refusalOfClientError, refuse } from './refuse.ts';

export function createJsonServer(app: Koa, timeouts: ServerOptions): Server {
  const answer = app.callback();
  // app.ts asks for the Host header.
  const server = createServer({ ...timeouts, requireHostHeader: false }, (request, response) => {
    void answer(request, response);
  });
  server.on('clientError', (error, socket) => {
    refuse(socket, refusalOfClientError(error));
  });
  server.on('connect', (_, socket) => {
    refuse(socket, new HubError('method_not_allowed'));
  });
  // An expectation that is not 100-continue may be ignored (RFC 9110 section 10.1.1).
  server.on('checkExpectation', (request, response) => {
    void answer(request, response);
  });
  return server;
}
