/** A client over a transport and a protocol that are neither WebSocket nor plain. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, type ClientOwner } from '../../src/client/client.ts';
import { FakeProtocol, FakeTransport } from './fake-transport.ts';

function setup(outboxSoftBytes = 1_000) {
  const transport = new FakeTransport();
  transport.isStalled = true;
  const slow: Client[] = [];
  const skipped: number[] = [];
  const owner: ClientOwner = {
    outboxSoftBytes,
    slow: (client) => slow.push(client),
    skipped: (publications) => skipped.push(publications),
    releaseLater: () => undefined,
    catchUp: (client) => client.deliver(Buffer.from('[published before]'), 1),
    unsubscribeAll: (client) => client.deliver(Buffer.from('[owed]'), 1),
  };
  const client = new Client(transport, new FakeProtocol(), owner);
  return { transport, slow, skipped, client };
}

describe('a client that collects its writes', () => {
  it('writes the collected bytes at once, in order, and later writes directly', () => {
    const { transport, client } = setup();
    client.hold();
    for (const text of ['one', 'two']) client.write(Buffer.from(text));
    client.pong(Buffer.from('three'));
    assert.deepEqual(transport.writes, []);
    client.release();
    client.write(Buffer.from('four'));
    assert.deepEqual(transport.writes, ['onetwo<pong three>', 'four']);
    client.hold();
    client.release();
    assert.equal(transport.writes.length, 2);
  });

  it('writes the collected bytes before a close, and nothing after the close frame', () => {
    const { transport, client } = setup();
    client.hold();
    client.write(Buffer.from('one'));
    client.close('rate_limited');
    client.write(Buffer.from('two'));
    client.send('three');
    client.release();
    assert.deepEqual(transport.writes, ['one', '[owed]<disconnected rate_limited>', 'close']);
    assert.deepEqual(transport.closes, [{ code: 4000, text: 'rate_limited' }]);
  });

  it('is reported once as slow above the soft limit', () => {
    const { slow, client } = setup(5);
    client.hold();
    for (const text of ['one', 'two']) client.write(Buffer.from(text));
    assert.deepEqual(slow, []);
    client.release();
    assert.deepEqual(slow, [client]);
  });
});

describe('a client', () => {
  it('counts as slow while the history that it has requested waits', () => {
    const { slow, client } = setup(10);
    client.replay(Buffer.from('[1]'));
    assert.deepEqual([slow, client.replayBytes], [[], 0]);
    client.replay(Buffer.from('[a long history]'));
    assert.deepEqual([slow, client.replayBytes], [[client], 16]);
  });

  it('gets the message of a handler after earlier publications', () => {
    const { transport, client } = setup();
    client.send('hello');
    assert.deepEqual(transport.writes, ['[published before]', '<hello>']);
  });

  it('returns sent, over limit or skipped for a publication, and reports the number of skipped ones', () => {
    const { transport, skipped, client } = setup(10);
    assert.equal(client.deliver(Buffer.from('[1]'), 1), 'sent');
    assert.equal(client.deliver(Buffer.from('[a long one]'), 1), 'over limit');
    client.skipped = 0; // the policy is to skip
    assert.equal(client.deliver(Buffer.from('[2][3]'), 2), 'skipped');
    assert.equal(client.deliver(Buffer.from('[4]'), 1), 'skipped');
    assert.deepEqual(skipped, [2, 1]);
    transport.bufferedBytes = 0;
    transport.isStalled = false;
    assert.equal(client.deliver(Buffer.from('[5]'), 1), 'sent');
    assert.deepEqual(transport.writes, ['[1]', '[a long one]', '<skipped 3>', '[5]']);
  });

  it('pauses reading until every cause is resumed, and reads at once when it is closed', () => {
    const { transport, client } = setup();
    client.pause('handler');
    client.pause('congestion');
    client.resume('handler');
    assert.equal(transport.isReading, false);
    client.resume('congestion');
    assert.equal(transport.isReading, true);
    client.pause('handler');
    client.close('restarting', 'retry=5');
    assert.equal(transport.isReading, true);
    assert.deepEqual(transport.closes, [{ code: 4000, text: 'restarting retry=5' }]);
    assert.equal(client.evicted, false);
  });

  it('is closed once, whichever side begins', () => {
    const { transport, client } = setup();
    assert.equal(client.beginClose(null), true);
    client.close('connection_killed');
    client.closeWith(4500, 'mine');
    assert.deepEqual(transport.writes, ['[owed]']);
    assert.equal(client.disconnectCause, 'client');
  });

  it('that disconnects without a close frame ends its subscriptions once', () => {
    const { transport, client } = setup();
    client.ended();
    client.ended();
    assert.equal(client.state, 'closed');
    assert.equal(client.disconnectCause, 'abnormal');
    assert.equal(transport.writes.filter((write) => write === '[owed]').length, 1);
  });
});
