/** Random bytes and broken HTTP and WebSocket streams into the public port: refused, without leaks, and without effect on other clients. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import {
  connectApart,
  eventually,
  handshake,
  openSocket,
  startHub,
  type Client,
  type HubProcess,
} from '../support.ts';
import { assertNoGrowth, holdings, watched } from './resources.ts';

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 31);
const cases = Number(process.env['FUZZ_CASES'] ?? 3_000);
const atOnce = 20;

function bytes(maxLength: number, minLength = 0): Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength, size: 'max' }).map((values) => Buffer.from(values));
}

/** A valid upgrade of one of five channels. */
const upgradeRequest = fc.nat(4).map((channel) => {
  const lines = Object.entries({ host: 'test', ...handshake }).map(([name, value]) => `${name}: ${value}`);
  return [`GET /fuzz/${channel} HTTP/1.1`, ...lines, '', ''].join('\r\n');
});

const mutation = fc.record({
  kind: fc.constantFrom('change', 'cut', 'double'),
  at: fc.nat(1_000),
  length: fc.nat(7),
  byte: bytes(1, 1),
});

/** One to five characters changed, cut out or doubled. */
function mutated(text: Arbitrary<string>): Arbitrary<Buffer> {
  return fc.tuple(text, fc.array(mutation, { minLength: 1, maxLength: 5 })).map(([whole, mutations]) =>
    mutations.reduce((data, { kind, at: place, length, byte }) => {
      const at = place % data.length;
      const until = at + length;
      const middle = kind === 'change' ? byte : kind === 'cut' ? Buffer.alloc(0) : data.subarray(at, until);
      return Buffer.concat([data.subarray(0, at), middle, data.subarray(kind === 'cut' ? until : at)]);
    }, Buffer.from(whole)),
  );
}

/** A frame that is nearly right. */
const nearFrame = fc
  .tuple(
    fc.oneof(fc.constantFrom(0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8a), fc.nat(255)),
    fc.oneof(fc.constant(Buffer.from('"text"')), bytes(119)),
    fc.oneof({ weight: 7, arbitrary: fc.constant(0x80) }, { weight: 1, arbitrary: fc.constant(0) }),
  )
  .map(([head, payload, mask]) =>
    Buffer.concat([Buffer.from([head, mask | payload.length, 0, 0, 0, 0]), payload]),
  );

const frame = fc.oneof({ weight: 2, arbitrary: nearFrame }, { weight: 1, arbitrary: bytes(200, 1) });

const kinds = fc.oneof(
  fc.tuple(bytes(400, 1)),
  fc.tuple(mutated(upgradeRequest)),
  fc.tuple(
    mutated(fc.constant('POST /channels/a/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n"abc"')),
  ),
  fc
    .tuple(upgradeRequest, fc.array(frame, { minLength: 1, maxLength: 6 }))
    .map(([request, frames]) => [Buffer.from(request), ...frames]),
);

/** What a client sends: a request, then frames; and how it goes. */
interface Stranger {
  readonly sent: readonly Buffer[];
  readonly resets: boolean;
}

const stranger: Arbitrary<Stranger> = fc.record({
  sent: kinds,
  resets: fc.oneof({ weight: 1, arbitrary: fc.constant(true) }, { weight: 3, arbitrary: fc.constant(false) }),
});

/** @returns whether the hub answered with an upgrade */
async function tryCase(port: number, { sent, resets }: Stranger): Promise<boolean> {
  const { socket, answer } = await openSocket(port);
  const [request, ...frames] = sent;
  if (request) socket.write(request);
  // A client that is gone before its handshake is answered never becomes a connection.
  if (frames.length > 0) await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
  socket.write(Buffer.concat(frames));
  if (resets) socket.resetAndDestroy();
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

  async function run(count: number, runSeed: number): Promise<number> {
    const strangers = fc.sample(stranger, { seed: runSeed, numRuns: count });
    let upgraded = 0;
    for (let done = 0; done < count; done += atOnce) {
      const together = strangers.slice(done, done + atOnce);
      const outcomes = await Promise.all(together.map((one) => tryCase(hub.port, one)));
      upgraded += outcomes.filter(Boolean).length;
    }
    return upgraded;
  }

  it(`of ${cases} kinds crashes nothing, disturbs nobody and leaves nothing behind`, async () => {
    await run(cases / 5, seed + 1); // warm-up: compiled and cached code is not a leak
    const held = await holdings(hub);
    const upgraded = await run(cases, seed);
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
