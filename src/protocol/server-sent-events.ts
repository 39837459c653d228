/**
 * Encodes server-sent events (HTML standard, section 9.2.6). Every line break in the data starts another `data:` line; readers
 * join them with LF, which changes nothing in JSON, where line breaks stand only between tokens.
 */

/** The fields of an event besides its data. */
export interface EventFields {
  /** the event's type; absent: `message` */
  readonly event?: string;
  /** the reader sends it back as `Last-Event-ID` */
  readonly id?: string | null;
  /** the reader reconnects after this time */
  readonly retryMs?: number;
}

const lf = 0x0a;
const cr = 0x0d;
const dataField = Buffer.from('data: ');
const lineEnd = Buffer.from('\n');
const eventEnd = Buffer.from('\n\n');

/** Returns one event. */
export function encodeEvent(data: Buffer | string, fields: EventFields): Buffer {
  const parts: Buffer[] = [];
  addEvent(parts, typeof data === 'string' ? Buffer.from(data) : data, fields);
  return Buffer.concat(parts);
}

/** Appends the parts of one event. */
export function addEvent(parts: Buffer[], data: Buffer, { event, id, retryMs }: EventFields): void {
  let head = '';
  if (retryMs !== undefined) head += `retry: ${retryMs}\n`;
  if (event !== undefined) head += `event: ${event}\n`;
  if (id != null) head += `id: ${id}\n`;
  if (head !== '') parts.push(Buffer.from(head));
  if (data.includes(lf) || data.includes(cr)) {
    for (const line of data.toString().split(/\r\n|\r|\n/)) parts.push(dataField, Buffer.from(line), lineEnd);
    parts.push(lineEnd);
  } else {
    parts.push(dataField, data, eventEnd);
  }
}
