/** The ping sweep: a peer that answers stays, one that is gone without a word is dropped. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { counted } from '../metrics/exposition.ts';
import { connect, connectApart, startHub, type HubProcess } from '../support.ts';

describe('the heartbeat', { concurrency: true }, () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env: { WSHUB_PING_INTERVAL_MS: '3000' } });
  });
  after(() => hub.end());

  it('drops a client that does not answer until the next sweep, and keeps others', async () => {
    const [stays, witness] = await connectApart(hub, 'pulse');
    const pings: string[] = [];
    stays.ws.on('ping', () => pings.push('ping'));
    const mute = await connect(hub, 'pulse', { autoPong: false });
    assert.equal((await mute.end()).code, 1006);
    await hub.logged('connection closed', { connectionId: mute.connectionId });
    await counted(hub, 'wshub_connections_closed_total', 'reason="no_pong"');
    // Two more sweeps pass; clients that answer survive them.
    const again = await connect(hub, 'pulse', { autoPong: false });
    assert.equal((await again.end()).code, 1006);
    assert.ok(pings.length >= 2, `${pings.length} pings`);
    stays.send('still here');
    assert.equal(await witness.next(), 'still here');
    assert.deepEqual([stays.closed, witness.closed], [undefined, undefined]);
    const { body } = await hub.admin('GET', '/channels/pulse');
    assert.equal((body as { total: number }).total, 2);
  });

  it('accepts any message as an answer', async () => {
    const talker = await connect(hub, 'talk', { autoPong: false });
    // Each echo sends the next message, until two others have been dropped, so after two sweeps of each worker.
    let said = 0;
    talker.ws.on('message', () => {
      setTimeout(() => {
        talker.send(++said);
      }, 20);
    });
    talker.send(said);
    for (let n = 0; n < 2; n += 1) {
      const mute = await connect(hub, 'mute', { autoPong: false });
      assert.equal((await mute.end()).code, 1006);
    }
    assert.equal(talker.closed, undefined);
    talker.ws.removeAllListeners('message');
    talker.ws.terminate();
  });
});
