/** Reads the bodies of requests, up to a limit. */
import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import rawBody from 'raw-body';
import { HubError } from '../platform/errors.ts';

/** @throws {HubError} as a rejection: `message_too_big` */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  try {
    return await rawBody(request, { limit: maxBytes, length: request.headers['content-length'] ?? null });
  } catch (cause) {
    if ((cause as { status?: number }).status !== 413) throw cause;
    await skipBody(request, maxBytes);
    throw new HubError('message_too_big', `the body has more than ${maxBytes} bytes`, { cause });
  }
}

/** @throws {HubError} as a rejection: `message_too_big`; `bad_json`: the body is not UTF-8 */
export async function readText(request: IncomingMessage, maxBytes: number): Promise<string> {
  const body = await readBody(request, maxBytes);
  if (!isUtf8(body)) throw new HubError('bad_json');
  return body.toString();
}

/** Bodies up to this size are discarded: a client that still sends when the connection closes does not see the response. */
function skipBody(request: IncomingMessage, maxBytes: number): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBytes) resolve();
    });
    request.once('close', resolve);
    request.once('end', resolve);
    request.resume();
  });
}
