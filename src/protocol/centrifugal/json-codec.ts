/**
 * The Centrifugal protocol in JSON: messages are objects, separated by newlines. Zero values are left out, but for a few
 * fields that SDKs rely on. Data of clients is passed on byte for byte.
 */
import type { Publication } from '../../channel/publication.ts';
import { members } from '../../platform/json-parts.ts';
import type { MessageParts } from '../protocol.ts';
import { commandKinds, DecodeError, type Codec } from './codec.ts';
import type { Command, EmulationRequest, Outgoing, Pong, WirePublication } from './messages.ts';
import { publicationOf } from './publication.ts';
import { fieldsOf, messages, type Field, type MessageName } from './schema.ts';

/** Fields that are written even if they are zero. */
const always: Readonly<Partial<Record<MessageName, readonly string[]>>> = {
  ClientInfo: ['user', 'client'],
  PresenceResult: ['presence'],
  PresenceStatsResult: ['num_clients', 'num_users'],
  HistoryResult: ['publications', 'offset', 'epoch'],
};

/** the fields of each message, in lists that are quick to walk */
const fieldLists = new Map(
  (Object.keys(messages) as MessageName[]).map((name) => [name, Object.entries<Field>(fieldsOf(name))]),
);

const maxUint32 = 2 ** 32 - 1;
const newline = 0x0a;
const messageHead = Buffer.from('{"push":{"message":{"data":');
const pushEnd = Buffer.from('}}}');

export const jsonCodec: Codec = {
  isBinary: false,

  *decode(data: Buffer): Generator<Command | Pong> {
    const text = data.toString();
    if (text.length === 0) throw new DecodeError('an empty message');
    let start = 0;
    // Line by line, because the caller may stop. The last line may be empty, no other one.
    while (start < text.length) {
      const newline = text.indexOf('\n', start);
      const end = newline === -1 ? text.length : newline;
      const line = text.slice(start, end);
      yield commandOf(line, end - start === text.length ? data.length : Buffer.byteLength(line));
      start = end + 1;
    }
  },

  encode(reply: Outgoing): MessageParts {
    return [Buffer.from(write('Reply', reply))];
  },

  publications(channel: string, publications: readonly Publication[]): MessageParts[] {
    const head = headOf(channel);
    return publications.map((publication) => {
      const data = withoutNewlines(publication.payload);
      if (publication.isNotice) return [messageHead, data, pushEnd];
      return publication.stored === null
        ? [head, data, pushEnd]
        : [head, data, tailOf(publicationOf(publication))];
    });
  },
};

/** The bytes before the data of a publication, by channel; emptied when it is full. */
const heads = new Map<string, Buffer>();
const maxHeads = 1_024;

function headOf(channel: string): Buffer {
  const known = heads.get(channel);
  if (known) return known;
  const head = Buffer.from(`{"push":{"channel":${JSON.stringify(channel)},"pub":{"data":`);
  if (heads.size >= maxHeads) heads.clear();
  heads.set(channel, head);
  return head;
}

/** The bytes after the data of a publication; written out, because every delivery of a channel with history needs them. */
function tailOf({ info, offset }: WirePublication): Buffer {
  const sender = info ? `,"info":{"user":${JSON.stringify(info.user)},"client":"${info.client}"}` : '';
  return Buffer.from(`${sender},"offset":${offset}}}}`);
}

/** @throws {DecodeError} */
export function decodeEmulation(body: Buffer): EmulationRequest {
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch (cause) {
    throw new DecodeError('not JSON', { cause });
  }
  if (!isObject(value)) throw new DecodeError('not an object');
  const { node, session, data } = value;
  const text = (field: unknown) => typed('string', field, '') as string;
  return { node: text(node), session: text(session), data: Buffer.from(text(data)) };
}

/** @throws {DecodeError} */
function commandOf(text: string, bytes: number): Command | Pong {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DecodeError('not JSON', { cause });
  }
  if (!isObject(value)) throw new DecodeError('not an object');
  const id = read('uint32', value['id']) as number;
  const kind = commandKinds.find((name) => value[name] != null);
  if (kind === undefined || (id === 0 && kind !== 'send')) return { kind: 'pong', bytes };
  const { type } = messages.Command[kind];
  const given = value[kind] as { data?: unknown };
  const request = readMessage(type as MessageName, given);
  if (given.data !== undefined && 'data' in request) {
    request['data'] = { bytes: Buffer.from(rawData(text, kind, given.data)), value: given.data };
  }
  return { kind, id, request, bytes } as unknown as Command;
}

/**
 * Returns the text of the data of a request. The usual form is found without reading the text again, character by character; it
 * must stand behind the name, because the client may have written numbers in another one.
 */
function rawData(text: string, kind: string, value: unknown): string {
  const usual = JSON.stringify(value);
  return text.includes(`"data":${usual}`) ? usual : rawMember(rawMember(text, kind), 'data');
}

/** Returns the text of a member of an object, which must have it. Of equal names the last counts, as in JSON.parse. */
function rawMember(text: string, name: string): string {
  let raw = '';
  for (const member of members(text)) if (member?.[0] === name) raw = member[1];
  return raw;
}

function readMessage(name: MessageName, value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new DecodeError(`${name} is not an object`);
  const message: Record<string, unknown> = {};
  for (const [key, field] of fieldLists.get(name) ?? []) {
    message[key] = field.isMap ? readMap(field, value[key]) : read(field.type, value[key]);
  }
  return message;
}

function readMap({ type }: Field, value: unknown): Map<string, unknown> {
  if (value == null) return new Map();
  if (!isObject(value)) throw new DecodeError('a map is not an object');
  return new Map(Object.entries(value).map(([key, item]) => [key, read(type, item)]));
}

/** Returns a value of its type; absent and null are the zero value, as in the servers of Centrifugal. */
function read(type: Field['type'], value: unknown): unknown {
  switch (type) {
    case 'string':
      return typed('string', value, '');
    case 'bool':
      return typed('boolean', value, false);
    case 'bytes':
      return null; // `commandOf` reads the only ones that matter
    case 'uint32':
      return integer(value, 0, maxUint32);
    case 'int32':
      return integer(value, -(2 ** 31), 2 ** 31 - 1);
    case 'uint64':
      return integer(value, 0, Number.MAX_SAFE_INTEGER);
    case 'int64':
      return integer(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    default:
      return value == null ? null : readMessage(type as MessageName, value);
  }
}

function typed(type: 'string' | 'boolean', value: unknown, zero: unknown): unknown {
  if (value == null) return zero;
  if (typeof value !== type) throw new DecodeError(`not a ${type}`);
  return value;
}

function integer(value: unknown, min: number, max: number): number {
  if (value == null) return 0;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw new DecodeError('not a number in its range');
  }
  return value;
}

function write(name: MessageName, value: Outgoing): string {
  const fields = fieldsOf(name);
  const kept = always[name];
  let text = '';
  for (const key of Object.keys(value)) {
    const [field, item] = [fields[key], value[key]];
    if (field === undefined || (isZero(item) && !kept?.includes(key))) continue;
    text += `${text === '' ? '' : ','}"${key}":${writeField(field, item)}`;
  }
  return `{${text}}`;
}

function writeField(field: Field, value: unknown): string {
  if (field.isRepeated) {
    return `[${(value as unknown[]).map((item) => writeItem(field.type, item)).join(',')}]`;
  }
  if (!field.isMap) return writeItem(field.type, value);
  const entries = Array.from(
    value as ReadonlyMap<string, unknown>,
    ([key, item]) => `${JSON.stringify(key)}:${writeItem(field.type, item)}`,
  );
  return `{${entries.join(',')}}`;
}

function writeItem(type: Field['type'], value: unknown): string {
  if (type === 'bytes') return withoutNewlines(value as Buffer).toString();
  return type in messages ? write(type as MessageName, value as Outgoing) : JSON.stringify(value);
}

function isZero(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (value instanceof Map) return value.size === 0;
  return value === undefined || value === null || value === '' || value === 0 || value === false;
}

/** A newline ends a message. In JSON it stands only between tokens, where a blank means the same. */
function withoutNewlines(json: Buffer): Buffer {
  return json.includes(newline) ? Buffer.from(json.toString().replaceAll('\n', ' ')) : json;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
