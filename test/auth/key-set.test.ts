/** How long keys are used, with a fake clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  keySetMaxAgeMs,
  keySetMaxStaleMs,
  KeysUnavailableError,
  refreshed,
  type RemoteKeys,
} from '../../src/auth/key-set.ts';

function setup() {
  const server = { now: 1_000, isUp: true, fetches: 0 };
  const stale: string[] = [];
  const reload = () => {
    server.fetches += 1;
    return server.isUp ? Promise.resolve() : Promise.reject(new Error('no answer'));
  };
  const key = new Uint8Array(32);
  const keys: RemoteKeys = Object.assign(() => Promise.resolve(key), { reload });
  const find = refreshed(
    keys,
    (reason) => stale.push(reason),
    () => server.now,
  );
  const use = async () => {
    assert.equal(await find({ alg: 'RS256' }, { payload: '', signature: '' }), key);
  };
  return { server, stale, use };
}

describe('a key set', () => {
  it('is fetched at first use, and again when it is old', async () => {
    const { server, stale, use } = setup();
    await use();
    server.now += keySetMaxAgeMs - 1;
    await use();
    assert.equal(server.fetches, 1);
    server.now += 1;
    await use();
    await use();
    assert.equal(server.fetches, 2);
    assert.deepEqual(stale, []);
  });

  it('stays in use for a day while it cannot be fetched, and says so once', async () => {
    const { server, stale, use } = setup();
    await use();
    server.isUp = false;
    for (const age of [keySetMaxAgeMs, 2 * keySetMaxAgeMs, keySetMaxStaleMs - 1]) {
      server.now = 1_000 + age;
      await use();
    }
    assert.deepEqual(stale, ['no answer']);
    server.now += 1;
    await assert.rejects(use(), KeysUnavailableError);
    server.isUp = true;
    await use();
    server.isUp = false;
    server.now += keySetMaxAgeMs;
    await use();
    assert.equal(stale.length, 2);
  });

  it('cannot be used before it was fetched once', async () => {
    const { server, use } = setup();
    server.isUp = false;
    await assert.rejects(use(), KeysUnavailableError);
    server.isUp = true;
    await use();
  });
});
