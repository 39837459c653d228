/** The kinds of HTTP streams. */
import type { StreamKind } from './http-stream.ts';

/** Server-sent events (HTML standard, section 9.2); a heartbeat is a comment. */
export const eventStream: StreamKind = {
  contentType: 'text/event-stream',
  heartbeat: Buffer.from(':\n\n'),
};

/** Messages in lines; a heartbeat is an empty line. */
export const lineStream: StreamKind = {
  contentType: 'application/json',
  heartbeat: Buffer.from('\n'),
};

/** Messages that are preceded by their length; a heartbeat is an empty one. */
export const binaryStream: StreamKind = {
  contentType: 'application/octet-stream',
  heartbeat: Buffer.from([0]),
};
