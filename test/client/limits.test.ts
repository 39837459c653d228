/** What a client may send: everything else is answered with a code, costs the others nothing, and is not relayed. */
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { clientFrame } from '../client-frame.ts';
import { counted } from '../metrics/exposition.ts';
import {
  connect,
  connectApart,
  eventually,
  handshake,
  hubFor,
  openMute,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';

const maxPayload = 1_000;

/** The channels whose connections have ended, in order. */
function closings({ log }: HubProcess): unknown[] {
  const opened = log.filter(({ msg }) => msg === 'connection opened');
  return log
    .filter(({ msg }) => msg === 'connection closed')
    .map((closed) => opened.find(({ connectionId }) => connectionId === closed['connectionId'])?.['channel']);
}

const hello = Buffer.from('"hello"');
const text = 0x81;

describe('a client', () => {
  let hub: HubProcess;
  /** on the channel that everything bad is sent to, on the other worker */
  let witness: Client;
  let client: Client;
  before(async () => {
    hub = await startHub({ env: { WSHUB_MAX_PAYLOAD: String(maxPayload) } });
    [client, witness] = await connectApart(hub, 'limits');
  });
  after(() => hub.end());

  /** Asserts that the next message of the witness is one that was published after the refused input. */
  async function assertNothingRelayed(): Promise<void> {
    const other = await connect(hub, 'limits?echo=false');
    other.send('afterwards');
    assert.equal(await witness.next(), 'afterwards');
    await other.close();
  }

  it('gets bad_json for a text that is not JSON, and stays connected', async () => {
    const bad = ['', '{', 'undefined', "{'a':1}", '{"a":1}{"b":2}', 'NaN', '"\\x"', '\u0000', '{"a":1,}'];
    for (const message of bad) {
      client.ws.send(message);
      const { error } = (await client.next()) as { error: { code: string; message: string } };
      assert.equal(error.code, 'bad_json', message);
      assert.notEqual(error.message, '');
    }
    client.send('good');
    assert.equal(await client.next(), 'good');
    assert.equal(await witness.next(), 'good');
    assert.deepEqual([...client.rest(), ...witness.rest()], []);
  });

  it('gets binary_not_supported for a binary message, and stays connected', async () => {
    client.ws.send(Buffer.from('"binary"'), { binary: true });
    const { error } = (await client.next()) as { error: { code: string } };
    assert.equal(error.code, 'binary_not_supported');
    client.send('good');
    assert.equal(await client.next(), 'good');
    assert.equal(await witness.next(), 'good');
  });

  it('may send a message of exactly the largest size, also in fragments', async () => {
    const largest = JSON.stringify('x'.repeat(maxPayload - 2));
    client.ws.send(largest);
    client.ws.send(largest.slice(0, 500), { fin: false });
    client.ws.send(largest.slice(500), { fin: true });
    assert.deepEqual(await witness.take(2), [JSON.parse(largest), JSON.parse(largest)]);
    await client.take(2);
  });

  it('is read in order, with or without fragments, with pings between them, and cut at any byte', async () => {
    const said = ['one', 'two', 'three', 'four', 'five'].map((word) => Buffer.from(JSON.stringify(word)));
    const [one, two, three, four, five] = said as [Buffer, Buffer, Buffer, Buffer, Buffer];
    const ping = clientFrame(0x89, Buffer.from('?'));
    const bytes = Buffer.concat([
      clientFrame(text, one),
      ...[clientFrame(0x01, two.subarray(0, 2)), ping, clientFrame(0x80, two.subarray(2))],
      ...[clientFrame(text, three), ping, clientFrame(text, four), clientFrame(text, five)],
    ]);
    // Its pong to the hub's heartbeat would come between the pieces.
    const sender = await connect(hub, 'limits', { autoPong: false });
    const pongs: string[] = [];
    sender.ws.on('pong', (data) => pongs.push(data.toString()));
    const pieces = [bytes.length, 1, 5, 9];
    for (const piece of pieces) {
      for (let at = 0; at < bytes.length; at += piece) {
        sender.socket?.write(bytes.subarray(at, at + piece));
        await new Promise((resolve) => setTimeout(resolve, 1)); // so that the hub reads it apart from the next
      }
      for (const each of [sender, client, witness]) {
        assert.deepEqual(await each.take(5), ['one', 'two', 'three', 'four', 'five']);
      }
    }
    assert.deepEqual(pongs, Array(2 * pieces.length).fill('?'));
    await sender.close();
  });

  for (const [what, bytes, code, reason] of [
    [
      'a message that is too large',
      clientFrame(text, Buffer.alloc(maxPayload + 1, 'x')),
      1009,
      'message_too_big',
    ],
    [
      'fragments that are too large together',
      Buffer.concat([clientFrame(0x01, Buffer.alloc(600, 'x')), clientFrame(0x80, Buffer.alloc(600, 'x'))]),
      1009,
      'message_too_big',
    ],
    ['invalid UTF-8', clientFrame(text, Buffer.from([0x22, 0xc3, 0x28, 0x22])), 1007, 'invalid_utf8'],
    [
      'a surrogate in UTF-8',
      clientFrame(text, Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])),
      1007,
      'invalid_utf8',
    ],
    ['an unmasked frame', clientFrame(text, hello, null), 1002, 'protocol_error'],
    ['a reserved bit', clientFrame(0xc1, hello), 1002, 'protocol_error'],
    ['a reserved opcode', clientFrame(0x83, hello), 1002, 'protocol_error'],
    ['a reserved control opcode', clientFrame(0x8b, hello), 1002, 'protocol_error'],
    ['a continuation of nothing', clientFrame(0x80, hello), 1002, 'protocol_error'],
    [
      'a message within a message',
      Buffer.concat([clientFrame(0x01, hello), clientFrame(text, hello)]),
      1002,
      'protocol_error',
    ],
    ['a fragmented ping', clientFrame(0x09, hello), 1002, 'protocol_error'],
    ['a ping that is too long', clientFrame(0x89, Buffer.alloc(126)), 1002, 'protocol_error'],
    [
      'a close code that must not be sent',
      clientFrame(0x88, Buffer.from([0x03, 0xed])),
      1002,
      'protocol_error',
    ],
    ['half a close code', clientFrame(0x88, Buffer.from([0x03])), 1002, 'protocol_error'],
  ] as const) {
    it(`is closed with ${code} ${reason} for ${what}, after an announcement`, async () => {
      const offender = await connect(hub, 'limits?echo=false');
      offender.socket?.write(bytes);
      assert.deepEqual(await offender.next(), { status: 'disconnected', reason, code });
      assert.deepEqual(await offender.end(), { code, reason });
      assert.deepEqual(offender.rest(), []);
      await assertNothingRelayed();
    });
  }

  it('is counted by its close reason', async () => {
    for (const reason of ['message_too_big', 'invalid_utf8', 'protocol_error']) {
      await counted(hub, 'wshub_connections_closed_total', `reason="${reason}"`);
    }
    await counted(hub, 'wshub_message_errors_total', 'reason="message_too_big"');
  });

  it('that sends a close frame gets its own code back and no `disconnected`', async () => {
    const leaver = await connect(hub, 'leave');
    leaver.send('last words');
    leaver.ws.close(4321, 'enough');
    assert.deepEqual(await leaver.end(), { code: 4321, reason: 'enough' });
    assert.deepEqual(leaver.rest(), ['last words']);
  });

  it('that sends data after its close frame is disconnected as early as a silent one', async (t) => {
    const patient = await hubFor(t, { workers: 1, env: { WSHUB_CLOSE_TIMEOUT_MS: '4000' } });
    await openMute(patient.port, 'mute');
    // It has its own say to the end, whatever the hub does.
    const babbler = createConnection({ port: patient.port, host: '127.0.0.1', allowHalfOpen: true });
    const lines = Object.entries({ host: 'test', ...handshake }).map(([name, value]) => `${name}: ${value}`);
    babbler.write(['GET /babble HTTP/1.1', ...lines, '', ''].join('\r\n'));
    await new Promise((resolve) => babbler.once('data', resolve));
    await patient.admin('DELETE', '/delete/mute'); // from now on it has its time to answer
    for (const bytes of [
      clientFrame(0x88, Buffer.alloc(0)),
      clientFrame(0x89, hello),
      clientFrame(0x89, hello),
      hello,
    ]) {
      babbler.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 20)); // so that the hub reads it apart from the next
    }
    babbler.end();
    await eventually(
      () => (closings(patient).length === 2 ? true : undefined),
      'the end of both connections',
    );
    assert.deepEqual(closings(patient), ['babble', 'mute']);
  });

  it('that disconnects without a close frame leaves its channel', async () => {
    const vanishing = await connect(hub, 'vanish');
    const { connectionId } = vanishing;
    vanishing.ws.terminate();
    await hub.logged('connection closed', { connectionId });
    assert.equal((await hub.admin('GET', '/channels/vanish')).status, 404);
  });
});
