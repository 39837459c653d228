/**
 * The Centrifugal protocol in Protobuf: each message is preceded by its length as a varint. The types are made from
 * schema.ts, by protobufjs. Data of clients is bytes on the wire, and must be JSON, because other clients read JSON.
 */
import { isUtf8 } from 'node:buffer';
import protobuf from 'protobufjs/light.js';
import type { Publication } from '../../channel/publication.ts';
import type { MessageParts } from '../protocol.ts';
import { commandKinds, DecodeError, type Codec } from './codec.ts';
import type { Command, EmulationRequest, Json, Outgoing, Pong } from './messages.ts';
import { publicationOf } from './publication.ts';
import { fieldsOf, messages, type MessageName } from './schema.ts';

const root = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    (Object.keys(messages) as MessageName[]).map((name) => [name, { fields: descriptorsOf(name) }]),
  ),
}).resolveAll();

const [command, reply] = [root.lookupType('Command'), root.lookupType('Reply')];
const emulationRequest = root.lookupType('EmulationRequest');

/** Values as the sessions read them: absent fields are the zero value of their type, numbers are numbers. */
const asObjects = { defaults: true, longs: Number, bytes: Buffer, objects: true } as const;

export const protobufCodec: Codec = {
  isBinary: true,

  *decode(data: Buffer): Generator<Command | Pong> {
    const reader = protobuf.Reader.create(data);
    if (reader.len === 0) throw new DecodeError('an empty message');
    while (reader.pos < reader.len) yield commandOf(reader);
  },

  encode(message: Outgoing): MessageParts {
    return delimited(reply.encode(plain(message)));
  },

  publications(channel: string, publications: readonly Publication[]): MessageParts[] {
    return publications.map((publication) =>
      delimited(
        reply.encode({
          push: publication.isNotice
            ? { message: { data: publication.payload } }
            : { channel, pub: publicationOf(publication) },
        }),
      ),
    );
  },
};

/** @throws {DecodeError} */
export function decodeEmulation(body: Buffer): EmulationRequest {
  try {
    return emulationRequest.toObject(emulationRequest.decode(body), asObjects) as EmulationRequest;
  } catch (cause) {
    throw new DecodeError('not Protobuf', { cause });
  }
}

function descriptorsOf(name: MessageName): Record<string, protobuf.IField> {
  return Object.fromEntries(
    Object.entries(fieldsOf(name)).map(([key, { id, type, isMap, isRepeated }]) => [
      key,
      { id, type, ...(isMap && { keyType: 'string' }), ...(isRepeated && { rule: 'repeated' }) },
    ]),
  );
}

/** @throws {DecodeError} */
function commandOf(reader: protobuf.Reader): Command | Pong {
  const start = reader.pos;
  let fields: Record<string, unknown>;
  try {
    const length = reader.uint32();
    if (length > reader.len - reader.pos) throw new RangeError('the message is cut off');
    const end = reader.pos + length;
    fields = command.toObject(command.decode(reader, length), asObjects);
    reader.pos = end;
  } catch (cause) {
    throw new DecodeError('not Protobuf', { cause });
  }
  const bytes = reader.pos - start;
  const id = fields['id'] as number;
  const kind = commandKinds.find((name) => fields[name] != null);
  if (kind === undefined || (id === 0 && kind !== 'send')) return { kind: 'pong', bytes };
  const request = fields[kind] as Record<string, unknown>;
  return { kind, id, bytes, request: readable(messages.Command[kind].type as MessageName, request) } as never;
}

/** Turns maps into Maps, and bytes into JSON. */
function readable(name: MessageName, message: Record<string, unknown>): Record<string, unknown> {
  const result = { ...message };
  for (const [key, { type, isMap }] of Object.entries(fieldsOf(name))) {
    if (isMap) result[key] = new Map(Object.entries(message[key] ?? {}));
    else if (type === 'bytes') result[key] = jsonOf(message[key] as Buffer);
  }
  return result;
}

/** @returns null: there is none */
function jsonOf(bytes: Buffer): Json | null {
  if (bytes.length === 0) return null;
  try {
    return { bytes, value: isUtf8(bytes) ? (JSON.parse(bytes.toString()) as unknown) : undefined };
  } catch {
    return { bytes, value: undefined };
  }
}

/** protobufjs writes objects as maps, not Maps. */
function plain(value: Outgoing): Outgoing {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (item instanceof Map) return [key, plain(Object.fromEntries(item as Map<string, unknown>))];
      const isMessage =
        typeof item === 'object' && item !== null && !Array.isArray(item) && !Buffer.isBuffer(item);
      return [key, isMessage ? plain(item as Outgoing) : item];
    }),
  );
}

function delimited(writer: protobuf.Writer): MessageParts {
  const message = writer.finish();
  return [viewOf(protobuf.Writer.create().uint32(message.length).finish()), viewOf(message)];
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, length);
}
