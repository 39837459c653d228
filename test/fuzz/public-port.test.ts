/** Random bytes and broken HTTP and WebSocket streams into the public port: refused, forgotten, nobody disturbed. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  connectApart,
  eventually,
  handshake,
  openSocket,
  randomFrom,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';
import { assertNoGrowth, holdings, watched } from './resources.ts';

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 32);
const random = randomFrom(seed);
const cases = Number(process.env['FUZZ_CASES'] ?? 3_000);
const atOnce = 20;

function randomBytes(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

/** A valid upgrade of a channel of its own. */
function upgradeRequest(): string {
  const lines = Object.entries({ host: 'test', ...handshake }).map(([name, value]) => `${name}: ${value}`);
  return [`GET /fuzz/${random(5)} HTTP/1.1`, ...lines, '', ''].join('\r\n');
}

/** One to five characters changed, cut out or doubled. */
function mutated(text: string): Buffer {
  let bytes = Buffer.from(text);
  for (let count = 1 + random(5); count > 0; count -= 1) {
    const at = random(bytes.length);
    const until = at + random(8);
    const kind = random(3);
    const middle = kind === 0 ? randomBytes(1) : kind === 1 ? Buffer.alloc(0) : bytes.subarray(at, until);
    bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(kind === 1 ? until : at)]);
  }
  return bytes;
}

/** A frame with a random head, or one that is nearly right. */
function frame(): Buffer {
  if (random(3) === 0) return randomBytes(1 + random(200));
  const payload = random(2) === 0 ? Buffer.from('"text"') : randomBytes(random(120));
  const head = [0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8a, random(256)][random(8)] ?? 0;
  return Buffer.concat([
    Buffer.from([head, (random(8) > 0 ? 0x80 : 0) | payload.length, 0, 0, 0, 0]),
    payload,
  ]);
}

const kinds = [
  () => [randomBytes(1 + random(400))],
  () => [mutated(upgradeRequest())],
  () => [mutated('POST /channels/a/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"abc"')],
  () => [Buffer.from(upgradeRequest()), ...Array.from({ length: 1 + random(6) }, frame)],
];

/** @returns whether the hub answered with an upgrade */
async function tryCase(port: number): Promise<boolean> {
  const { socket, answer } = await openSocket(port);
  const [request, ...frames] = kinds[random(kinds.length)]?.() ?? [];
  socket.write(request ?? '');
  // A client that is gone before its handshake is answered never becomes a connection.
  if (frames.length > 0) await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
  socket.write(Buffer.concat(frames));
  if (random(4) === 0) socket.resetAndDestroy();
  else socket.end();
  return (await answer).startsWith('HTTP/1.1 101');
}

describe(`garbage on the public port (TEST_SEED=${seed})`, () => {
  let hub: HubProcess;
  let clients: [Client, Client];
  before(async () => {
    hub = await startHub({
      env: { ...watched, WSHUB_CLOSE_TIMEOUT_MS: '500' },
    });
    clients = await connectApart(hub, 'undisturbed');
  });
  after(() => hub.end());

  async function run(count: number): Promise<number> {
    let upgraded = 0;
    for (let done = 0; done < count; done += atOnce) {
      const outcomes = await Promise.all(Array.from({ length: atOnce }, () => tryCase(hub.port)));
      upgraded += outcomes.filter(Boolean).length;
    }
    return upgraded;
  }

  it(`of ${cases} kinds crashes nothing, disturbs nobody and leaves nothing behind`, async () => {
    await run(cases / 5); // what is compiled and cached at first is no leak
    const held = await holdings(hub);
    const upgraded = await run(cases);
    assert.ok(upgraded > cases / 6, `only ${upgraded} cases got as far as a WebSocket`);
    await assertNoGrowth(hub, held);
    const [one, other] = clients;
    one.send('undisturbed');
    assert.equal(await other.next(), 'undisturbed');
    assert.equal(hub.log.find(({ level }) => level === 'error' || level === 'fatal')?.msg, undefined);
    assert.equal(hub.log.filter(({ msg }) => msg === 'worker forked').length, 2);
    await eventually(async () => {
      const { body } = await hub.admin('GET', '/channels');
      const names = (body as { channels: { channel: string }[] }).channels.map(({ channel }) => channel);
      return names.join() === 'undisturbed' ? true : undefined;
    }, 'the end of all connections but those of the undisturbed');
  });
});
