/** Random and malformed frames straight into the workers' link sockets: each link is closed, no worker is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc, { type Arbitrary } from 'fast-check';
import {
  connectApart,
  eventually,
  openSocket,
  startHub,
  temporaryFolder,
  type Client,
  type HubProcess,
} from '../support.ts';
import { assertNoGrowth, holdings, watched } from './resources.ts';

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 2 ** 31);
const cases = 10_000;
const atOnce = 50;
const version = 2;

function bytes(maxLength: number, minLength = 0): Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength, size: 'max' }).map((values) => Buffer.from(values));
}

/** `length u32 | version u8 | type u8 | body`, see src/relay/mesh/frame.ts. */
function frame(type: number, body: Buffer, lengthError = 0): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt32BE(Math.max(0, 2 + body.length + lengthError));
  head[4] = version;
  head[5] = type;
  return Buffer.concat([head, body]);
}

function hello(from: string, to: string, hubId: string): Buffer {
  return frame(1, Buffer.from(JSON.stringify({ hubId, from, to })));
}

const kinds = fc.oneof(
  bytes(300, 1),
  fc.tuple(fc.nat(19), bytes(60)).map(([type, body]) => frame(type, body)),
  bytes(60).map((body) => frame(1, body)),
  fc.constantFrom('null', '[]', '"x"', '{}', '{"hubId":1}', '{').map((text) => frame(1, Buffer.from(text))),
  fc
    .tuple(
      fc.integer({ min: 1, max: 19 }),
      bytes(30),
      fc.oneof(fc.integer({ min: -19, max: 0 }), fc.nat(2 ** 30)),
    )
    .map(([type, body, lengthError]) => frame(type, body, lengthError)),
  bytes(40, 40).map((body) => Buffer.concat([hello('w2', 'w1', 'of-another-hub'), frame(7, body)])),
  fc.constant(Buffer.from([0xff, 0xff, 0xff, 0xff, version, 7])),
);

/** Input of an unknown program, in two pieces. */
const pieces = fc
  .tuple(kinds, fc.nat(400))
  .map(([sent, cut]) => [sent.subarray(0, cut % sent.length), sent.subarray(cut % sent.length)] as const);

const randomBytes = (length: number): Buffer =>
  fc.sample(bytes(length, length), { seed, numRuns: 1 })[0] as Buffer;

describe(`garbage on a link socket (TEST_SEED=${seed})`, () => {
  let hub: HubProcess;
  let clients: [Client, Client];
  const helloFile = join(temporaryFolder({ after }), 'hello');
  before(async () => {
    hub = await startHub({
      env: {
        ...watched,
        WSHUB_LOG_LEVEL: 'info',
        TEST_HELLO_FILE: helloFile,
      },
    });
    clients = await connectApart(hub, 'undisturbed');
  });
  after(() => hub.end());

  async function assertUndisturbed(): Promise<void> {
    const [one, other] = clients;
    for (let n = 0; n < 50; n += 1) {
      one.send({ one: n });
      assert.deepEqual(await other.next(), { one: n });
      other.send({ other: n });
      assert.deepEqual(await one.take(2), [{ one: n }, { other: n }]);
      assert.deepEqual(await other.next(), { other: n });
    }
    assert.equal(hub.log.find(({ level }) => level === 'error' || level === 'fatal')?.msg, undefined);
    assert.equal(hub.log.filter(({ msg }) => msg === 'worker ready').length, 2);
  }

  function hubId(): string {
    const [first] = readFileSync(helloFile, 'utf8').split('\n');
    return (JSON.parse(first ?? '') as { hubId: string }).hubId;
  }

  async function tryCase(workerId: string, [first, second]: readonly [Buffer, Buffer]): Promise<void> {
    const { socket, answer } = await openSocket(join(hub.runtimeDir, `${workerId}.sock`));
    socket.write(first);
    socket.end(second);
    assert.equal(await answer, '', 'a stranger is told nothing');
  }

  async function run(count: number, runSeed: number): Promise<void> {
    const strangers = fc.sample(pieces, { seed: runSeed, numRuns: count });
    for (let done = 0; done < count; done += atOnce) {
      const together = strangers.slice(done, done + atOnce);
      await Promise.all(together.map((stranger, n) => tryCase(`w${1 + (n % 2)}`, stranger)));
    }
  }

  it(`of ${cases} strangers crashes nothing, disturbs nobody and leaves nothing behind`, async () => {
    await run(cases / 5, seed + 1); // warm-up: compiled and cached code is not a leak
    const held = await holdings(hub);
    await run(cases, seed);
    await assertUndisturbed();
    await assertNoGrowth(hub, held);
    // Few of them are logged; the others are counted.
    await eventually(() => {
      const told = hub.log.filter(({ level }) => level === 'warn');
      const single = told.filter(({ msg }) => msg === 'link not opened').length;
      const more = told.filter(({ msg }) => msg === 'more lines: link not opened');
      const all = more.reduce((sum, line) => sum + Number(line['suppressed']), single);
      return all > cases / 2 ? true : undefined;
    }, 'the lines of the strangers, logged or counted');
  });

  it('from one whose worker the primary has not named is not listened to', async () => {
    for (const bad of [
      frame(2, Buffer.alloc(0)),
      frame(3, Buffer.from('\0\0\0\0\0\x01ghost')),
      frame(4, Buffer.alloc(6)),
      frame(5, Buffer.alloc(6)),
      frame(7, Buffer.from('\0\0\0\0\0\x01"from a ghost"')),
    ]) {
      const { socket, answer } = await openSocket(join(hub.runtimeDir, 'w2.sock'));
      socket.write(Buffer.concat([hello('w99', 'w2', hubId()), bad]));
      assert.equal(await answer, '');
    }
    // A worker learns a moment later which channels the others have left; a forged channel would stay.
    await eventually(async () => {
      const { body } = await hub.admin('GET', '/state');
      return (body as { totals: { channels: number } }).totals.channels === 1 ? true : undefined;
    }, 'the end of all channels but that of the undisturbed');
    await assertUndisturbed();
  });

  it('from one that speaks as a sibling closes its link only; the true one is made anew', async () => {
    const [one] = clients;
    for (const bad of [
      frame(0, Buffer.alloc(0)),
      frame(99, randomBytes(10)),
      frame(3, Buffer.alloc(6)), // add without a name
      frame(5, Buffer.alloc(5)), // half a number
      frame(8, Buffer.alloc(7)), // counts of a wrong length
      frame(9, Buffer.from('{')), // a call that is no JSON
      hello('w1', 'w2', hubId()), // a second one
      Buffer.from([0xff, 0xff, 0xff, 0xff, version, 7]),
      Buffer.concat([
        frame(7, randomBytes(40)),
        frame(9, Buffer.from('{}')),
        frame(10, Buffer.from('[]')),
        frame(0, Buffer.alloc(0)),
      ]),
    ]) {
      const warnings = () =>
        hub.log.filter(({ msg, level }) => msg === 'link closed' && level === 'warn').length;
      const before = warnings();
      const { socket, answer } = await openSocket(join(hub.runtimeDir, 'w2.sock'));
      socket.write(Buffer.concat([hello('w1', 'w2', hubId()), bad]));
      await answer;
      await eventually(() => (warnings() > before ? true : undefined), 'the line of a link that closed');
      // The real sibling dials again, which restores the links.
      await eventually(async () => {
        const { body } = await hub.admin('GET', '/state');
        const { workers } = body as { workers: { linked: boolean }[] };
        return workers.every(({ linked }) => linked) ? true : undefined;
      }, 'the link between the workers');
    }
    assert.equal(one.closed, undefined);
    await assertUndisturbed();
  });
});
