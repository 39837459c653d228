/** Protobuf over WebSocket: the Protobuf bundle of the JavaScript SDK, unchanged, and what other SDKs send. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import type { Centrifuge } from 'centrifuge';
import { WebSocket } from 'ws';
import { handshake, request, startHub, type HubProcess } from '../support.ts';
import { connectSdk, dataOf, Events, path, subscribed, Wire } from './wire.ts';

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const valueOf = (data: unknown) => JSON.parse(Buffer.from(data as Uint8Array).toString()) as unknown;

/** `{ id: 1, connect: {} }` */
const connectFrame = Buffer.from([4, 0x08, 1, 0x22, 0]);

const env = {
  WSHUB_NAMESPACES: JSON.stringify([
    { name: 'h', historySize: 100, historyTtl: '300s', presence: true, joinLeave: true },
  ]),
  WSHUB_HANDLERS: join(import.meta.dirname, 'functions.ts'),
  WSHUB_PING_INTERVAL_MS: '1000',
};

describe('Protobuf', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env });
  });
  after(() => hub.end());

  async function connectProtobuf(t: { after: (done: () => void) => void }) {
    const client = new ProtobufCentrifuge(`ws://127.0.0.1:${hub.port}/${path}`, {
      websocket: WebSocket,
      minReconnectDelay: 20,
    }) as unknown as Centrifuge;
    const events = new Events();
    for (const name of ['connected', 'disconnected', 'connecting', 'message'] as const) {
      client.on(name, (event: unknown) => {
        events.push(name, event);
      });
    }
    t.after(() => {
      client.disconnect();
    });
    client.connect();
    await client.ready(30_000);
    return { client, events };
  }

  it('shares channels with JSON, in both directions', async (t) => {
    const json = await connectSdk(t, hub);
    const proto = await connectProtobuf(t);
    for (const channel of ['mixed', 'h:mixed']) {
      const one = await subscribed(json.client, channel);
      const other = await subscribed(proto.client, channel);
      await one.sub.publish({ from: 'json' });
      await other.events.until('publication');
      await other.sub.publish(bytes({ from: 'protobuf', n: 'é' }));
      const wanted = [{ from: 'json' }, { from: 'protobuf', n: 'é' }];
      assert.deepEqual(dataOf(await one.events.until('publication', 2)), wanted);
      assert.deepEqual(dataOf(await other.events.until('publication', 2)).map(valueOf), wanted);
    }
  });

  it('has every method', async (t) => {
    const { client, events } = await connectProtobuf(t);
    const { sub, events: room } = await subscribed(client, 'h:methods');
    await room.until('join');
    await sub.publish(bytes(1));
    await sub.publish(bytes({ type: 'double', n: 2 }));
    await room.until('publication', 2);
    const { publications, offset } = await sub.history({ limit: -1 });
    assert.deepEqual([publications.map(({ data }) => valueOf(data)), offset], [[1, { doubled: 4 }], 2]);
    const { clients } = await sub.presence();
    assert.deepEqual(Object.keys(clients), [events.of('connected')[0]?.['client']]);
    assert.deepEqual(await sub.presenceStats(), { numClients: 1, numUsers: 1 });
    assert.equal(valueOf((await client.rpc('add', bytes([1, 2]))).data), 3);
    await assert.rejects(client.rpc('own', bytes(1)), { code: 409, message: 'sold out', temporary: true });
    await client.send(bytes({ type: 'tell' }));
    assert.deepEqual(
      (await events.until('message')).map(({ data }) => valueOf(data)),
      [{ told: { type: 'tell' } }],
    );
    await assert.rejects(sub.publish(new Uint8Array([1, 2, 3])), { code: 107 });
    await assert.rejects(sub.publish(new Uint8Array()), { code: 107 });
  });

  it('recovers', async (t) => {
    const { client, events } = await connectProtobuf(t);
    const { sub, events: room } = await subscribed(client, 'h:recovered');
    await sub.publish(bytes(1));
    await room.until('publication');
    client.disconnect();
    await hub.admin('POST', '/channels/h:recovered/messages', { body: '2' });
    client.connect();
    const [, again] = await room.until('subscribed', 2);
    assert.equal(again?.['recovered'], true);
    assert.deepEqual(dataOf(await room.until('publication', 2)).map(valueOf), [1, 2]);
    assert.deepEqual(events.of('disconnected').length, 1);
  });

  it('takes an empty message as the answer to an empty one', async () => {
    const wire = await Wire.open(hub, {}, '?cf_protocol=protobuf');
    wire.ws.on('message', (data: Buffer) => {
      if (data.equals(Buffer.from([0]))) wire.ws.send(Buffer.from([0]));
    });
    wire.ws.send(connectFrame);
    await wire.takeText(4); // the reply and three pings; the third would not come without the pongs
    assert.equal(wire.closed, undefined);
    await wire.close();
  });

  it('is chosen by the subprotocol or the query', async () => {
    const answer = await request(hub.port, 'GET', `/${path}`, {
      headers: { ...handshake, 'sec-websocket-protocol': 'centrifuge-protobuf' },
    });
    assert.equal(answer.headers['sec-websocket-protocol'], 'centrifuge-protobuf');
    for (const query of ['?cf_protocol=protobuf', '?format=protobuf']) {
      const wire = await Wire.open(hub, {}, query);
      wire.ws.send(connectFrame);
      const [first] = await wire.takeText(1);
      assert.equal(first, '"a binary message"');
      await wire.close();
    }
  });

  it('ends with 3501 on what is no Protobuf', async () => {
    const bad: (string | Buffer)[] = [
      '{"id":1,"connect":{}}',
      Buffer.alloc(0),
      Buffer.from([5, 1]),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([2, 0x22, 9]),
    ];
    for (const frame of bad) {
      const wire = await Wire.open(hub, {}, '?cf_protocol=protobuf');
      wire.ws.send(frame);
      assert.equal((await wire.end()).code, 3501);
    }
  });
});
