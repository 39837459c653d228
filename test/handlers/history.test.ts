/** Handlers on channels with history: positions, keys on two workers, and reading. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { History, Position } from '../../src/handlers/define.ts';
import { connectApart, hubFor, temporaryFolder } from '../support.ts';

describe('a handler', () => {
  it('publishes with positions and keys on either worker, and reads the history', async (t) => {
    const file = join(temporaryFolder(t), 'handlers.mjs');
    writeFileSync(
      file,
      `const told = (connection, promise) => promise.then(
         (value) => connection.send({ value }),
         ({ code, name }) => connection.send({ rejected: code ?? name }),
       );
       export default { types: {
         put: async ({ channel, data, options }, { hub, connection }) =>
           told(connection, hub.publish(channel, data, options)),
         get: async ({ channel, options }, { hub, connection }) => told(connection, hub.history(channel, options)),
       } };`,
    );
    const namespaces = JSON.stringify([{ name: 'kept', historySize: 10, historyTtl: '1h' }]);
    const hub = await hubFor(t, { env: { WSHUB_HANDLERS: file, WSHUB_NAMESPACES: namespaces } });
    const clients = await connectApart(hub, 'own');
    const readers = await connectApart(hub, 'kept:a?envelope=true');
    const [one] = clients;
    const ask = async (client: typeof one, message: object) => {
      client.send(message);
      return (await client.next()) as { value?: unknown; rejected?: string };
    };
    const put = (client: typeof one, data: unknown, options: object, channel = 'kept:a') =>
      ask(client, { type: 'put', channel, data, options });
    const places: unknown[] = [];
    for (const client of clients) places.push((await put(client, 'k', { idempotencyKey: 'k' })).value);
    const [first] = places as [Position];
    assert.deepEqual(places, [first, first]);
    assert.equal(first.offset, 1);
    assert.deepEqual((await put(one, 2, {})).value, { ...first, offset: 2 });
    for (const reader of readers) {
      assert.deepEqual(await reader.take(2), [
        { channel: 'kept:a', data: 'k', ...first },
        { channel: 'kept:a', data: 2, ...first, offset: 2 },
      ]);
    }
    const { value } = await ask(one, { type: 'get', channel: 'kept:a', options: { limit: 1 } });
    const page = value as History;
    const { time, ...message } = page.messages[0] ?? { time: 0 };
    assert.ok(Number.isInteger(time) && time > 0);
    assert.deepEqual(message, { offset: 1, data: 'k' });
    assert.deepEqual([page.epoch, page.offset, page.truncated], [first.epoch, 2, true]);
    const rest = await ask(one, { type: 'get', channel: 'kept:a', options: { since: first } });
    assert.deepEqual(
      (rest.value as History).messages.map(({ data }) => data),
      [2],
    );
    const unknown = await ask(one, {
      type: 'get',
      channel: 'kept:a',
      options: { since: { epoch: 'x', offset: 1 } },
    });
    assert.deepEqual(unknown.value, { ...first, offset: 2, messages: [], truncated: true });
    assert.equal((await put(one, 1, {}, 'plain')).rejected, 'bad_request');
    assert.equal((await put(one, 1, { idempotencyKey: '' })).rejected, 'bad_request');
    assert.equal((await ask(one, { type: 'get', channel: 'plain' })).rejected, 'bad_request');
    assert.equal(
      (await ask(one, { type: 'get', channel: 'kept:a', options: { limit: 0 } })).rejected,
      'RangeError',
    );
  });
});
