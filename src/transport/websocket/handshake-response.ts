/** Checks the headers of a WebSocket handshake, and writes its response (RFC 6455 section 4.2). */
import { hash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { HubError } from '../../platform/errors.ts';

/** A request whose method and headers are checked. */
export interface HandshakeRequest {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** A valid handshake. */
export interface ValidHandshake {
  readonly key: string;
  /** the subprotocols that the client offers */
  readonly protocols: ReadonlySet<string>;
}

/** Appended to the key (section 1.3). */
const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes in base64 */
const validKey = /^[+/0-9A-Za-z]{22}==$/;
/** a token of RFC 9110 section 5.6.2 */
const validProtocol = /^[!#$%&'*+.^_`|~\w-]+$/;

/**
 * Checks a handshake.
 * @throws {HubError} `upgrade_required`: another version of the protocol; `bad_request`
 */
export function validHandshake({ method, headers }: HandshakeRequest): ValidHandshake {
  if (method !== 'GET') throw invalid('Invalid HTTP method');
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw invalid('Invalid Upgrade header');
  const version = headers['sec-websocket-version'];
  if (version !== '13' && version !== '8') {
    throw new HubError('upgrade_required', 'Sec-WebSocket-Version must be 13');
  }
  const key = headers['sec-websocket-key'];
  if (key === undefined || !validKey.test(key)) throw invalid('Missing or invalid Sec-WebSocket-Key header');
  return { key, protocols: offeredProtocols(headers['sec-websocket-protocol']) };
}

/** An empty header offers nothing: centrifuge-python sends one. */
function offeredProtocols(header: string | undefined): ReadonlySet<string> {
  const protocols = new Set<string>();
  if (header === undefined || header.trim() === '') return protocols;
  for (const part of header.split(',')) {
    const protocol = part.trim();
    if (!validProtocol.test(protocol) || protocols.has(protocol)) {
      throw invalid('Invalid Sec-WebSocket-Protocol header');
    }
    protocols.add(protocol);
  }
  return protocols;
}

/** @param protocol the selected subprotocol; null: none */
export function handshakeResponse({ key }: ValidHandshake, protocol: string | null): Buffer {
  return Buffer.from(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${hash('sha1', key + guid, 'base64')}\r\n` +
      (protocol === null ? '\r\n' : `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`),
  );
}

function invalid(message: string): HubError {
  return new HubError('bad_request', message);
}
