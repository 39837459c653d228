/** Refusals on a bare socket: of an upgrade, and of bytes that are no HTTP request. Same JSON as elsewhere. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { HubError } from '../errors.ts';

/** Answers with the error's status and JSON, and closes the socket. */
export function refuse(socket: Duplex, error: HubError): void {
  if (socket.destroyed) return;
  socket.on('error', ignore);
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = JSON.stringify(error.body);
  socket.end(
    [
      `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
      'Connection: close',
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
    () => socket.destroy(),
  );
}

/** The refusal for what Node's HTTP parser reports in `clientError`. */
export function refusalOfClientError(error: NodeJS.ErrnoException): HubError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new HubError('headers_too_large');
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HubError('request_timeout');
  return new HubError('bad_request');
}

function ignore(): void {
  // The peer is gone; there is nobody left to tell.
}
