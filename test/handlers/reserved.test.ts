/** The hub's own messages cannot be forged by a client; a back end and handlers may send what they like. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { freshScrape, sum } from '../metrics/exposition.ts';
import { connect, startHub, temporaryFolder, type HubProcess } from '../support.ts';

const statuses = ['connected', 'disconnected', 'draining', 'skipped', 'presence', 'joined', 'left'];

const forged = [
  ...statuses.map((status) => JSON.stringify({ status })),
  '{"status":"disconnected","reason":"connection_killed","code":4000}',
  '{"error":{"code":"forbidden","message":"go away"}}',
  '{"error":{"code":null}}',
  '{"type":"unknown","error":{"code":7}}',
  // the same in other spellings
  '{"st\\u0061tus":"\\u0063onnected"}',
  '{"status":"away","status":"left"}',
  ' { "err\\u006fr" : { "co\\u0064e" : 1 } } ',
];

const others = [
  '{"status":"away"}',
  '{"status":["connected"]}',
  '{"status":{"status":"connected"}}',
  '{"Status":"connected"}',
  '{"error":"connected"}',
  '{"error":null}',
  '{"error":{}}',
  '{"error":["code"]}',
  '{"error":{"Code":1}}',
  '{"__proto__":{"status":"connected"}}',
  '[{"status":"connected"}]',
  '"status"',
  'null',
];

describe('a message of a client that looks like one of the hub', () => {
  let hub: HubProcess;
  const folder = temporaryFolder({ after });
  before(async () => {
    const module = join(folder, 'handlers.js');
    writeFileSync(module, 'export default { types: { say: ({ value }) => value } };');
    hub = await startHub({ workers: 1, env: { WSHUB_HANDLERS: module, WSHUB_INVALID_MESSAGE_LIMIT: '5' } });
  });
  after(() => hub.end());

  it('is answered with reserved_message and not relayed', async () => {
    const forger = await connect(hub, 'room');
    const listener = await connect(hub, 'room');
    const before = await freshScrape(hub);
    for (const text of forged) {
      forger.ws.send(text);
      const { error } = (await forger.next()) as { error?: { code?: string } };
      assert.equal(error?.code, 'reserved_message', text);
    }
    forger.send('the next');
    assert.equal(await listener.next(), 'the next');
    assert.equal(await forger.next(), 'the next', 'it is not closed, however often it tries');
    const after = await freshScrape(hub);
    const counts = [before, after].map(({ samples }) =>
      sum(samples, 'wshub_message_errors_total', 'reason="reserved_message"'),
    );
    assert.deepEqual(counts, [0, forged.length]);
    await Promise.all([forger.close(), listener.close()]);
  });

  it('is relayed if it is only similar', async () => {
    const speaker = await connect(hub, 'room?echo=false');
    const listener = await connect(hub, 'room');
    for (const text of others) speaker.ws.send(text);
    await listener.take(others.length);
    assert.deepEqual(listener.received, others);
    assert.deepEqual(speaker.rest(), []);
    await Promise.all([speaker.close(), listener.close()]);
  });

  it('may come from a handler and by HTTP', async () => {
    const client = await connect(hub, 'room');
    for (const text of forged) {
      client.ws.send(`{"type":"say","status":"connected","value":${text}}`);
      assert.deepEqual(await client.next(), JSON.parse(text));
      assert.equal((await hub.admin('POST', '/channels/room/messages', { body: text })).status, 202);
      assert.deepEqual(await client.next(), JSON.parse(text));
    }
    await client.close();
  });
});
