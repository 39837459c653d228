/** Two hubs on one machine at once know nothing of each other. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectApart, hubFor } from '../support.ts';

describe('two hubs at once', () => {
  it('have the same channel names, worker ids and clients without meeting, and one outlives the other', async (t) => {
    const [left, right] = await Promise.all([hubFor(t), hubFor(t)]);
    assert.notEqual(left.port, right.port);
    const [leftOne, leftOther] = await connectApart(left, 'same');
    const [rightOne, rightOther] = await connectApart(right, 'same');
    leftOne.send('left');
    rightOne.send('right');
    assert.equal(await leftOther.next(), 'left');
    assert.equal(await rightOther.next(), 'right');
    const { body } = await left.admin('DELETE', '/delete/same');
    assert.deepEqual(body, { channel: 'same', closed: 2 });
    assert.equal((await leftOne.end()).code, 4001);
    await left.end();
    rightOther.send('still here');
    assert.deepEqual(await rightOne.take(2), ['right', 'still here']);
    assert.equal((await right.admin('GET', '/channels/same')).status, 200);
  });
});
