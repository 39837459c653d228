/** A blocked worker delays no joins, and its first messages reach every client that joined meanwhile. */
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  connect,
  connectWhere,
  eventually,
  startHub,
  temporaryFolder,
  type Client,
  type HubProcess,
} from '../support.ts';

const rounds = 3;
const channels = 8;
/** Enough that some come to the workers that run; those that come to the other one wait for it. */
const joinsPerChannel = 12;

describe('a blocked worker', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({
      workers: 3,
      env: { WSHUB_HANDLERS: join(import.meta.dirname, '../handlers/functions.ts') },
    });
  });
  after(() => hub.end());

  const onW3 = (workerId: string) => workerId === 'w3';

  /** Begins joins of a channel; `arrived` has those that have ended, `all` resolves when the last one has. */
  function joining(channel: string): { arrived: Client[]; all: Promise<unknown> } {
    const arrived: Client[] = [];
    const all = Promise.all(
      Array.from({ length: joinsPerChannel }, async () => {
        arrived.push(await connect(hub, channel));
      }),
    );
    return { arrived, all };
  }

  it('that was stopped delays no join, and misses no new subscriber', async () => {
    const pid = hub.pidOf('w3');
    for (let round = 0; round < rounds; round += 1) {
      const names = Array.from({ length: channels }, (_, n) => `stopped/${round}/${n}`);
      const publishers: Client[] = [];
      for (const name of names) publishers.push(await connectWhere(hub, name, onW3));
      process.kill(pid, 'SIGSTOP');
      hub.signal('SIGSTOP'); // a primary that was stopped itself does not treat missing pongs as a hang
      const joins = names.map(joining);
      await eventually(
        () => (joins.every(({ arrived }) => arrived.length > 0) ? true : undefined),
        'a join of each channel while one worker is stopped',
      );
      const joined = joins.map(({ arrived }) => [...arrived]);
      for (const [n, publisher] of publishers.entries()) publisher.send({ n });
      process.kill(pid, 'SIGCONT');
      hub.signal('SIGCONT');
      for (const [n, clients] of joined.entries()) {
        for (const client of clients) {
          assert.notEqual(client.workerId, 'w3');
          assert.deepEqual(await client.next(), { n });
        }
      }
      await Promise.all(joins.map(({ all }) => all));
      for (const [n, publisher] of publishers.entries()) {
        publisher.send('end');
        for (const client of joined[n] ?? []) assert.equal(await client.next(), 'end', 'nothing came twice');
      }
      for (const { arrived } of joins) for (const client of arrived) client.ws.close();
      for (const publisher of publishers) publisher.ws.close();
    }
    assert.equal(
      hub.log.find(({ msg }) => msg === 'worker died'),
      undefined,
    );
  });

  it('in a handler delays no join, and the later publication of the handler reaches the new subscribers', async (t) => {
    const folder = temporaryFolder(t);
    for (let round = 0; round < rounds; round += 1) {
      const channel = `computed/${round}`;
      const until = join(folder, `until-${round}`);
      const author = await connectWhere(hub, 'authors', onW3);
      hub.signal('SIGSTOP');
      author.send({ type: 'compute', until, channel });
      await eventually(() => (existsSync(`${until}.begun`) ? true : undefined), 'the begin of the handler');
      const { arrived, all } = joining(channel);
      await eventually(() => (arrived.length > 0 ? true : undefined), 'a join while a handler computes');
      const joined = [...arrived];
      writeFileSync(until, '');
      for (const client of joined) assert.deepEqual(await client.next(), { computed: channel });
      hub.signal('SIGCONT');
      await all;
      for (const client of [author, ...arrived]) client.ws.close();
    }
  });
});
