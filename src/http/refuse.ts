/** Refuses upgrades and invalid HTTP on a raw socket, with the same JSON as elsewhere. */
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { HubError } from '../platform/errors.ts';

/**
 * Answers with the error's status and JSON, and closes the socket.
 * @param timeoutMs time limit for the client to read it: unread earlier responses may fill the socket
 */
export function refuse(socket: Duplex, error: HubError, timeoutMs: number): void {
  if (socket.destroyed) return;
  socket.on('error', ignore);
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const deadline = setTimeout(() => socket.destroy(), timeoutMs);
  socket.once('close', () => {
    clearTimeout(deadline);
  });
  const body = JSON.stringify(error.body);
  socket.end(
    [
      `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
      `Connection: ${error.status === 426 ? 'close, Upgrade' : 'close'}`,
      'Content-Type: application/json; charset=utf-8',
      ...Object.entries(refusalHeaders(error)).map(([name, value]) => `${name}: ${value}`),
      `Content-Length: ${Buffer.byteLength(body)}`,
      '',
      body,
    ].join('\r\n'),
    () => socket.destroy(),
  );
}

/** Additional headers of a response with the error. */
export function refusalHeaders({ status }: HubError): Readonly<Record<string, string>> {
  if (status === 426) return { Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' };
  if (status === 401) return { 'WWW-Authenticate': 'Bearer realm="wshub"' };
  // Random, so that clients refused together do not return together.
  if (status === 429 || status === 503) return { 'Retry-After': String(1 + Math.floor(Math.random() * 10)) };
  return {};
}

/** Maps an error of Node's `clientError` event to a refusal. */
export function refusalOfClientError(error: NodeJS.ErrnoException): HubError {
  if (error.code === 'HPE_HEADER_OVERFLOW') return new HubError('headers_too_large');
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HubError('request_timeout');
  return new HubError('bad_request');
}

function ignore(): void {
  // The peer has closed the connection.
}
