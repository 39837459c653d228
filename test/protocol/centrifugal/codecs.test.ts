/** The encodings of the Centrifugal protocol without a hub: their schema, and decoders that take any bytes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import protobuf from 'protobufjs/light.js';
import { DecodeError, type Codec } from '../../../src/protocol/centrifugal/codec.ts';
import { jsonCodec } from '../../../src/protocol/centrifugal/json-codec.ts';
import { protobufCodec } from '../../../src/protocol/centrifugal/protobuf-codec.ts';
import { fieldsOf, messages, type MessageName } from '../../../src/protocol/centrifugal/schema.ts';

const commands = [
  '{"id":1,"connect":{"token":"x","data":{"a":[1,null]},"name":"js","subs":{"a":{"recover":true,"offset":3}}}}',
  '{"id":2,"subscribe":{"channel":"a","recover":true,"epoch":"e","offset":9007199254740991,"flag":1}}',
  '{"id":3,"publish":{"channel":"a","data":{"n":1}}}',
  '{"id":4,"history":{"channel":"a","limit":-1,"since":{"offset":1,"epoch":"e"},"reverse":true}}',
  '{"id":5,"rpc":{"method":"m","data":"x"}}',
  '{"send":{"data":1}}',
  '{}',
];

const wire = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    (Object.keys(messages) as MessageName[]).map((name) => [
      name,
      {
        fields: Object.fromEntries(
          Object.entries(fieldsOf(name)).map(([key, { id, type, isMap, isRepeated }]) => [
            key,
            { id, type, ...(isMap && { keyType: 'string' }), ...(isRepeated && { rule: 'repeated' }) },
          ]),
        ),
      },
    ]),
  ),
}).lookupType('Command');

/** The same command as bytes. */
function inProtobuf(text: string): Buffer {
  const value = JSON.parse(text) as Record<string, Record<string, unknown>>;
  for (const request of Object.values(value)) {
    if ('data' in Object(request)) request['data'] = Buffer.from(JSON.stringify(request['data']));
  }
  return Buffer.from(wire.encodeDelimited(value).finish());
}

const frames = {
  json: Buffer.from(commands.join('\n')),
  protobuf: Buffer.concat(commands.map(inProtobuf)),
};

/** Decodes; any failure but a DecodeError is a defect. */
function decode(codec: Codec, data: Buffer): unknown[] | null {
  try {
    return [...codec.decode(data)];
  } catch (error) {
    assert.ok(error instanceof DecodeError, String(error));
    return null;
  }
}

describe('the schema', () => {
  it('names only types that exist, and each number once', () => {
    const scalars = ['string', 'bool', 'uint32', 'int32', 'uint64', 'int64', 'bytes'];
    for (const name of Object.keys(messages) as MessageName[]) {
      const fields = Object.values(fieldsOf(name));
      assert.equal(new Set(fields.map(({ id }) => id)).size, fields.length, name);
      for (const { type } of fields)
        assert.ok(type in messages || scalars.includes(type), `${name}: ${type}`);
    }
  });
});

describe('the decoders', () => {
  it('read the same commands from both encodings', () => {
    const strip = (list: unknown[] | null) =>
      (list as { bytes: number }[]).map(({ bytes, ...command }) => {
        assert.ok(bytes > 0);
        return command;
      });
    const json = strip(decode(jsonCodec, frames.json));
    const other = strip(decode(protobufCodec, frames.protobuf));
    assert.equal(json.length, commands.length);
    // Requests nested in a map have no data of their own.
    assert.deepEqual(JSON.parse(JSON.stringify(other)), JSON.parse(JSON.stringify(json)));
    for (const [index, command] of json.entries())
      assert.deepEqual(Object.keys(command), Object.keys(other[index] ?? {}));
  });

  it('refuse what is cut off', () => {
    for (let end = 1; end < frames.protobuf.length; end += 1) {
      const decoded = decode(protobufCodec, frames.protobuf.subarray(0, end));
      if (decoded) assert.ok(decoded.length < commands.length);
    }
    assert.equal(decode(protobufCodec, Buffer.alloc(0)), null);
    assert.equal(decode(jsonCodec, Buffer.alloc(0)), null);
  });

  it('take any bytes, 100 000 times', () => {
    for (const [codec, frame] of [
      [jsonCodec, frames.json],
      [protobufCodec, frames.protobuf],
    ] as const) {
      const mutations = fc.array(fc.tuple(fc.nat(frame.length - 1), fc.nat(255)), {
        minLength: 1,
        maxLength: 6,
      });
      fc.assert(
        fc.property(mutations, (changes) => {
          const data = Buffer.from(frame);
          for (const [at, byte] of changes) data[at] = byte;
          decode(codec, data);
        }),
        { numRuns: 40_000 },
      );
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
          decode(codec, Buffer.from(bytes));
        }),
        { numRuns: 10_000 },
      );
    }
  });

  it('find no members of prototypes', () => {
    assert.deepEqual(decode(jsonCodec, Buffer.from('{"id":1,"__proto__":{"connect":{}}}')), [
      { kind: 'pong', bytes: 35 },
    ]);
    assert.equal(({} as { connect?: unknown }).connect, undefined);
    const [command] = decode(jsonCodec, Buffer.from('{"id":1,"connect":{"subs":{"__proto__":{}}}}')) as [
      { request: { subs: Map<string, unknown> } },
    ];
    assert.deepEqual([...command.request.subs.keys()], ['__proto__']);
  });
});
