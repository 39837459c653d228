/** The measurement of a hub's resources: it finds a leak, and no leak in a hub that has only worked. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectApart, hubFor } from '../support.ts';
import { assertNoGrowth, holdings, watched } from './resources.ts';

describe('the resources of a hub', () => {
  it('are what they were after work, and not after a leak in one worker', async (t) => {
    const hub = await hubFor(t, { env: watched });
    const before = await holdings(hub);
    const [one, other] = await connectApart(hub, 'room?echo=false');
    for (let round = 0; round < 20; round += 1) {
      for (let n = 0; n < 50; n += 1) one.send('x'.repeat(10_000));
      await other.take(50); // a reader on a busy machine must not be taken for a slow one
    }
    await assertNoGrowth(hub, before);
    other.send({ type: 'leak', bytes: 8 * 1024 * 1024 });
    assert.equal(await other.next(), 'leaked');
    await assert.rejects(assertNoGrowth(hub, before, 5), assert.AssertionError);
    await Promise.all([one.close(), other.close()]);
  });
});
