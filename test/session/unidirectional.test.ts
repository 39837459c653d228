/** Clients that only connect: pushes without an envelope over a WebSocket, server-sent events and an HTTP stream. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SignJWT, type JWTPayload } from 'jose';
import { WebSocket } from 'ws';
import { EventSourceClient } from '../event-source.ts';
import { Client, startHub, temporaryFolder, type HubProcess } from '../support.ts';
import { LineStream } from './streams.ts';

/** A client of one kind. */
interface Uni {
  /** the next push */
  next(): Promise<Record<string, unknown>>;
  /** Resolves after several pings. */
  pinged(): Promise<void>;
  close(): void;
}

const pings = 3;

type Open = (hub: HubProcess, request: object) => Promise<Uni>;

const kinds: Readonly<Record<string, Open>> = {
  uni_sse: async (hub, request) => {
    const query = encodeURIComponent(JSON.stringify(request));
    const stream = await new EventSourceClient(hub.port, `connection/uni_sse?cf_connect=${query}`).answered();
    return {
      next: async () => JSON.parse((await stream.next()).data) as Record<string, unknown>,
      pinged: () => stream.until(() => stream.comments >= pings, 'pings'),
      close: () => {
        stream.close();
      },
    };
  },
  uni_http_stream: async (hub, request) => {
    const stream = await LineStream.open(hub, JSON.stringify(request, null, 2), {}, 'uni_http_stream');
    let taken = 0;
    return {
      next: async () => (await stream.take((taken += 1)))[taken - 1] ?? {},
      pinged: async () => {
        await stream.messages.until('message', taken + pings); // empty lines
      },
      close: () => {
        stream.close();
      },
    };
  },
  uni_websocket: async (hub, request) => {
    const client = new Client(`ws://127.0.0.1:${hub.port}/connection/uni_websocket`, {});
    await new Promise((resolve, reject) => client.ws.once('open', resolve).once('error', reject));
    client.ws.send(JSON.stringify(request));
    return {
      next: async () => (await client.next()) as Record<string, unknown>,
      pinged: async () => {
        for (let n = 0; n < pings; n += 1) await new Promise((resolve) => client.ws.once('ping', resolve));
      },
      close: () => {
        client.ws.close();
      },
    };
  },
};

describe('a unidirectional client', () => {
  const secret = randomBytes(32).toString('base64');
  let hub: HubProcess;
  before(async () => {
    const file = join(temporaryFolder({ after }), 'secret');
    writeFileSync(file, secret);
    hub = await startHub({
      env: {
        WSHUB_JWT_SECRET_FILE: file,
        WSHUB_NAMESPACES: '[{"name":"h","historySize":10,"historyTtl":"1h"}]',
        WSHUB_PING_INTERVAL_MS: '300',
      },
    });
  });
  after(() => hub.end());

  const sign = (claims: JWTPayload) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(secret));
  const publish = async (channel: string, body: string) =>
    hub.admin('POST', `/channels/${channel}/messages`, { body });

  for (const [kind, open] of Object.entries(kinds)) {
    it(`gets the channels of its token over ${kind}, from the position that it has`, async () => {
      const token = await sign({ sub: 'anna', channels: ['news', 'h:1'] });
      const { epoch } = (await publish('h:1', '1')).body as { epoch: string };
      const { offset } = (await publish('h:1', '2')).body as { offset: number };
      const subs = { 'h:1': { recover: true, epoch, offset: offset - 1 } };
      const client = await open(hub, { token, subs });
      const { connect } = (await client.next()) as {
        connect: { client: string; subs: Record<string, object>; ping?: number; session?: string };
      };
      assert.deepEqual(connect.subs, {
        news: {},
        'h:1': {
          recoverable: true,
          positioned: true,
          recovered: true,
          was_recovering: true,
          epoch,
          offset: offset - 1,
          publications: [{ data: 2, offset }],
        },
      });
      assert.deepEqual([connect.ping, connect.session], [undefined, undefined]);
      await publish('news', '{"text":"new"}');
      assert.deepEqual(await client.next(), { channel: 'news', pub: { data: { text: 'new' } } });
      // It outlives pings, which it cannot answer in its protocol.
      await client.pinged();
      await publish('h:1', '3');
      assert.deepEqual(await client.next(), { channel: 'h:1', pub: { data: 3, offset: offset + 1 } });
      await hub.admin('DELETE', `/connections/${connect.client}`);
      if (kind !== 'uni_websocket') {
        const disconnect = { code: 3503, reason: 'connection_killed' };
        assert.deepEqual(await client.next(), { disconnect });
      }
      client.close();
    });
  }

  it('is disconnected where others get an error or break the protocol', async () => {
    const expired = await sign({ exp: Math.floor(Date.now() / 1000) - 3_600 });
    for (const [request, code] of [
      [{ token: 'wrong' }, 3500],
      [{ token: expired }, 3005],
      [{}, 3501],
      [[], 3501],
    ] as const) {
      const ws = new WebSocket(`ws://127.0.0.1:${hub.port}/connection/uni_websocket`);
      await new Promise((resolve) => ws.once('open', resolve));
      const closed = new Promise<number>((resolve) => ws.once('close', resolve));
      ws.send(JSON.stringify(request));
      assert.equal(await closed, code, JSON.stringify(request));
      for (const kind of ['uni_sse', 'uni_http_stream']) {
        const client = await kinds[kind]?.(hub, request);
        const { disconnect } = (await client?.next()) as { disconnect: { code: number } };
        assert.equal(disconnect.code, code, kind);
      }
    }
    const ws = new WebSocket(`ws://127.0.0.1:${hub.port}/connection/uni_websocket`);
    await new Promise((resolve) => ws.once('open', resolve));
    const closed = new Promise<number>((resolve) => ws.once('close', resolve));
    ws.send(JSON.stringify({ token: await sign({ channels: ['news'] }) }));
    await new Promise((resolve) => ws.once('message', resolve));
    ws.send('{}');
    assert.equal(await closed, 3501, 'it sends nothing after connect');
  });
});
