/** POST /publish over a running hub: what a batch may be, what it answers, and that nobody waits for it. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { digestOf } from '../../src/auth/api-keys.ts';
import { counted } from '../metrics/exposition.ts';
import {
  codeOf,
  connect,
  connectApart,
  hubFor,
  openSocket,
  request,
  startHub,
  temporaryFolder,
  type Answer,
  type HubProcess,
} from '../support.ts';

const maxPayload = 1_000;
const maxBatchBytes = 4 * 1024 * 1024; // the default
const maxMessages = 10_000;

let hub: HubProcess;
before(async () => {
  const file = join(temporaryFolder({ after }), 'keys.json');
  const sha256 = digestOf('key-of-news').toString('hex');
  const keys = [
    { name: 'news', sha256, scopes: ['publish'], channels: ['news:*'] },
    { name: 'reader', sha256: digestOf('reads').toString('hex'), scopes: ['read'], channels: ['*'] },
  ];
  writeFileSync(file, JSON.stringify(keys), { mode: 0o600 });
  hub = await startHub({ env: { WSHUB_API_KEYS_FILE: file, WSHUB_MAX_PAYLOAD: String(maxPayload) } });
});
after(() => hub.end());

const post = (body: unknown, port = hub.opsPort, path = '/publish') =>
  hub.admin('POST', path, {
    port,
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });

/** The answer to each message: its channel, or the code of its refusal. */
function outcomes({ status, body }: Answer): string[] {
  assert.equal(status, 200);
  return (body as ({ channel: string } | { error: { code: string; message: string } })[]).map((entry) =>
    'channel' in entry ? entry.channel : entry.error.code,
  );
}

describe('POST /publish', () => {
  it('publishes every message to its channels, in order, as it was sent, from either port', async () => {
    const clients = [...(await connectApart(hub, 'a/1')), await connect(hub, 'b')];
    for (const [port, path] of [
      [hub.opsPort, '/publish'],
      [hub.port, '/publish'],
      [hub.port, '/admin/publish'],
    ] as const) {
      const body = `[ {"channel":"a/1","data":{"n": 1e0}} ,{"data":"ü","channels":["b","a/1","b"]}, {"channel":"none","data":null}]`;
      assert.deepEqual(outcomes(await post(body, port, path)), ['a/1', 'b', 'a/1', 'b', 'none']);
    }
    for (const client of clients) {
      await client.take(6);
      const wanted = client.channel === 'b' ? ['"ü"', '"ü"'] : ['{"n": 1e0}', '"ü"'];
      assert.deepEqual(client.received, [...wanted, ...wanted, ...wanted]);
      await client.close();
    }
  });

  it('answers an empty batch with an empty list', async () => {
    assert.deepEqual(outcomes(await post('[]')), []);
  });

  it('refuses single messages, and publishes the others', async () => {
    const client = await connect(hub, 'c');
    const refused: [item: unknown, ...codes: string[]][] = [
      [1, 'bad_request'],
      [null, 'bad_request'],
      [[], 'bad_request'],
      [{}, 'bad_request'],
      [{ channel: 'c' }, 'bad_request'],
      [{ data: 1 }, 'bad_request'],
      [{ channel: 'c', channels: ['c'], data: 1 }, 'bad_request'],
      [{ channels: [], data: 1 }, 'bad_request'],
      [{ channels: 'c', data: 1 }, 'bad_request'],
      [{ channel: 'c', data: 1, tags: {} }, 'bad_request'],
      [{ channel: 'c', data: 1, idempotencyKey: 'k' }, 'bad_request'],
      [{ channels: ['c', 'd'], data: 1, idempotencyKey: 'k' }, 'bad_request', 'bad_request'],
      [{ channel: '', data: 1 }, 'bad_channel'],
      [{ channel: 7, data: 1 }, 'bad_channel'],
      [{ channel: ['c'], data: 1 }, 'bad_channel'],
      [{ channel: 'x'.repeat(256), data: 1 }, 'bad_channel'],
      [{ channel: 'x'.repeat(maxPayload), data: 1 }, 'bad_channel'],
      [{ channel: '\u0000', data: 1 }, 'bad_channel'],
      [{ channel: '\ud800', data: 1 }, 'bad_channel'],
      [{ channels: ['c', '', 'c'], data: 1 }, 'c', 'bad_channel', 'c'],
      [{ channel: 'c', data: 'x'.repeat(maxPayload - 2) }, 'c'],
      [{ channels: ['c', 'd'], data: 'x'.repeat(maxPayload - 1) }, 'message_too_big', 'message_too_big'],
      [{ channel: 'c', data: 'ü'.repeat(maxPayload / 2) }, 'message_too_big'],
    ];
    const answer = await post([...refused.map(([item]) => item), { channel: 'c', data: 'last' }]);
    assert.deepEqual(outcomes(answer), [...refused.flatMap(([, ...codes]) => codes), 'c']);
    assert.deepEqual(await client.take(4), [1, 1, 'x'.repeat(maxPayload - 2), 'last']);
    const [first] = answer.body as { error?: { code: string; message: string } }[];
    assert.deepEqual(first, { error: { code: 'bad_request', message: 'an item is an object' } });
    assert.deepEqual(outcomes(await post('[{"channel":"c","data":1,"data":2}]')), ['bad_request']);
    for (const reason of ['bad_request', 'bad_channel', 'message_too_big']) {
      await counted(hub, 'wshub_message_errors_total', `reason="${reason}"`);
    }
    await counted(hub, 'wshub_messages_received_total', 'source="http"');
    await counted(hub, 'wshub_admin_actions_total', 'action="publish_batch"', 'result="done"');
    await client.close();
  });

  it('publishes no message of a body that is not a JSON array in UTF-8', async () => {
    const client = await connect(hub, 'd');
    const good = '{"channel":"d","data":1}';
    const bodies = [
      '',
      '{}',
      good,
      `${good},${good}`,
      `[${good}`,
      `[${good},]`,
      `[${good}]x`,
      `[${good},{"channel":"d","data":tru}]`,
      `[${good},{"channel":"d","data":"\u0001"}]`,
      `[${good},{"channel":"d","data":[}]}]`,
      `[${good},{"channel":"d" "data":1}]`,
      `[${good},{channel:"d","data":1}]`,
      `[${good},tru]`,
      `\ufeff[${good}]`,
      Buffer.concat([Buffer.from(`[${good},"`), Buffer.from([0xff]), Buffer.from('"]')]),
    ];
    for (const port of [hub.opsPort, hub.port]) {
      for (const body of bodies) {
        const answer = await post(body, port);
        assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_json'], body.toString());
      }
    }
    assert.deepEqual(outcomes(await post(`[${good}]`)), ['d']);
    await client.take(1);
    assert.deepEqual(client.received, ['1']);
    await client.close();
  });

  it('publishes no message above the limits of messages and bytes', async () => {
    const client = await connect(hub, 'full');
    const item = { channel: 'full', data: 0 };
    const tooMany: unknown[] = [
      Array.from({ length: maxMessages + 1 }, () => item),
      [{ channels: Array.from({ length: maxMessages + 1 }, () => 'full'), data: 0 }],
      [item, { channels: Array.from({ length: maxMessages }, () => 'full'), data: 0 }],
    ];
    const padded = (bytes: number) => `[{"channel":"full","data":1}${' '.repeat(bytes - 29)}]`;
    for (const port of [hub.opsPort, hub.port]) {
      for (const batch of tooMany) {
        const answer = await post(batch, port);
        assert.deepEqual([answer.status, codeOf(answer)], [413, 'message_too_big']);
      }
      const large = await post(padded(maxBatchBytes + 1), port);
      assert.deepEqual([large.status, codeOf(large)], [413, 'message_too_big']);
      assert.deepEqual(outcomes(await post(padded(maxBatchBytes), port)), ['full']);
    }
    assert.deepEqual(await client.take(2), [1, 1]);
    for (const port of [hub.opsPort, hub.port]) {
      const batch = Array.from({ length: maxMessages }, (_, n) => ({ channel: 'full', data: n }));
      assert.equal(outcomes(await post(batch, port)).length, maxMessages);
      assert.deepEqual(await client.take(maxMessages), [...batch.keys()]);
    }
    await client.close();
  });

  it('keeps to the scope and the channels of an API key', async () => {
    const client = await connect(hub, 'news:1');
    const body = JSON.stringify([{ channels: ['news:1', 'attic', 'news:2'], data: 'for the key' }]);
    for (const port of [hub.opsPort, hub.port]) {
      const answer = await request(port, 'POST', '/publish', {
        headers: { 'x-api-key': 'key-of-news' },
        body,
      });
      assert.deepEqual(outcomes(answer), ['news:1', 'forbidden', 'news:2']);
      const other = await request(port, 'POST', '/publish', { headers: { 'x-api-key': 'reads' }, body });
      assert.deepEqual([other.status, codeOf(other)], [403, 'forbidden']);
      assert.equal((await request(port, 'POST', '/publish', { body })).status, 401);
    }
    assert.deepEqual(await client.take(2), ['for the key', 'for the key']);
    await client.close();
  });

  it('refuses an incomplete body, and publishes no message of it', async (t) => {
    const env = { WSHUB_REQUEST_TIMEOUT_MS: '500', WSHUB_HANDSHAKE_TIMEOUT_MS: '500' };
    const hasty = await hubFor(t, { workers: 1, env });
    const client = await connect(hasty, 'half');
    for (const port of [hasty.port, hasty.opsPort]) {
      const { socket, answer } = await openSocket(port);
      const head = `POST /publish HTTP/1.1\r\nHost: hub\r\nX-API-Key: ${hasty.token}\r\nContent-Length: 1000\r\n\r\n`;
      socket.write(`${head}[{"channel":"half","data":1},`);
      assert.match(await answer, /^HTTP\/1\.1 408 .*"request_timeout"/s);
    }
    client.send('alone');
    assert.equal(await client.next(), 'alone');
    assert.deepEqual(client.received, ['"alone"']);
  });
});

describe('publishing to a channel with history', () => {
  let kept: HubProcess;
  before(async () => {
    const namespaces = JSON.stringify([{ name: 'kept', historySize: 100, historyTtl: '5m' }]);
    kept = await startHub({ env: { WSHUB_NAMESPACES: namespaces, WSHUB_MAX_PAYLOAD: '20' } });
  });
  after(() => kept.end());

  const publish = async (port: number, channel: string, key?: string) => {
    const headers = key === undefined ? {} : { 'idempotency-key': key };
    const answer = await kept.admin('POST', `/channels/${channel}/messages`, { port, headers, body: '"m"' });
    return [answer.status, codeOf(answer) ?? answer.body];
  };

  it('answers with the position, from either port', async () => {
    const client = await connect(kept, 'kept:a');
    const [, first] = await publish(kept.port, 'kept:a');
    const { epoch } = first as { epoch: string };
    assert.deepEqual(first, { channel: 'kept:a', epoch, offset: 1 });
    const second = { channel: 'kept:a', epoch, offset: 2 };
    assert.deepEqual(await publish(kept.opsPort, 'kept:a'), [202, second]);
    const items = [
      { channels: ['kept:a', 'plain'], data: 1 },
      { channel: 'kept:a', data: 2 },
    ];
    const answer = await kept.admin('POST', '/publish', { body: JSON.stringify(items) });
    assert.deepEqual(answer.body, [
      { channel: 'kept:a', epoch, offset: 3 },
      { channel: 'plain' },
      { channel: 'kept:a', epoch, offset: 4 },
    ]);
    assert.deepEqual(await client.take(4), ['m', 'm', 1, 2]);
    await client.close();
  });

  it('stores a message with an idempotency key once', async () => {
    const client = await connect(kept, 'kept:b');
    const [, first] = await publish(kept.port, 'kept:b', 'one');
    assert.equal((first as { offset: number }).offset, 1);
    for (const port of [kept.port, kept.opsPort]) {
      assert.deepEqual(await publish(port, 'kept:b', 'one'), [202, first]);
      const item = { channel: 'kept:b', data: 'other', idempotencyKey: 'one' };
      const items = [item, { ...item, idempotencyKey: 'k'.repeat(255) }, { ...item, channel: 'plain' }];
      const { body } = await kept.admin('POST', '/publish', { port, body: JSON.stringify(items) });
      const [again, second, refused] = body as [unknown, { offset: number }, { error: { code: string } }];
      assert.deepEqual([again, second.offset, refused.error.code], [first, 2, 'bad_request']);
    }
    client.send('last');
    assert.deepEqual(await client.take(3), ['m', 'other', 'last']);
    await client.close();
  });

  it('refuses keys of another length, and keys where there is no history', async () => {
    for (const port of [kept.port, kept.opsPort]) {
      for (const [channel, key] of [
        ['kept:c', 'k'.repeat(256)],
        ['kept:c', ''],
        ['plain', 'k'],
      ] as const) {
        assert.deepEqual(await publish(port, channel, key), [400, 'bad_request'], key);
        const items = [{ channel, data: 1, idempotencyKey: key }];
        const { body } = await kept.admin('POST', '/publish', { port, body: JSON.stringify(items) });
        assert.equal((body as [{ error: { code: string } }])[0].error.code, 'bad_request');
      }
    }
    for (const idempotencyKey of [7, null, ['k'], 'k'.repeat(5_000)]) {
      const items = [{ channel: 'kept:c', data: 1, idempotencyKey }];
      const { body } = await kept.admin('POST', '/publish', { body: JSON.stringify(items) });
      assert.equal((body as [{ error: { code: string } }])[0].error.code, 'bad_request');
    }
    const [, first] = await publish(kept.port, 'kept:c');
    assert.equal((first as { offset: number }).offset, 1, 'nothing was stored');
  });
});
