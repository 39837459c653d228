/** What a client is answered while its bytes are handled leaves in one write, in order, and before a close. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Client, type ClientOwner } from '../../src/client/client.ts';

function setup(outboxSoftBytes = 1_000) {
  const writes: string[] = [];
  let waiting = 0;
  const socket = new Socket();
  Object.defineProperty(socket, 'writableLength', { get: () => waiting });
  socket.write = (bytes: unknown) => {
    writes.push((bytes as Buffer).toString('latin1'));
    waiting += (bytes as Buffer).length; // nothing is taken
    return true;
  };
  const slow: Client[] = [];
  const owner: ClientOwner = {
    outboxSoftBytes,
    slow: (connection) => slow.push(connection),
    skipped: () => undefined,
    catchUp: () => undefined,
    unsubscribeAll: (connection) => connection.write(Buffer.from('owed'), 1),
  };
  const ws = new WebSocket(null as unknown as string, undefined, { autoPong: false });
  ws.close = () => writes.push('close');
  ws.resume = ws.pause = () => undefined;
  return { writes, slow, connection: new Client(ws, socket, true, owner) };
}

describe('a connection that holds its writes', () => {
  it('writes all in one, in order, and then again at once', () => {
    const { writes, connection } = setup();
    connection.hold();
    for (const text of ['one', 'two']) connection.send(text);
    connection.pong(Buffer.from('three'));
    assert.deepEqual(writes, []);
    connection.release();
    connection.send('four');
    assert.deepEqual(writes, ['\x81\x03one\x81\x03two\x8a\x05three', '\x81\x04four']);
    connection.hold();
    connection.release();
    assert.equal(writes.length, 2);
  });

  it('writes what it holds before a close, and nothing behind the close frame', () => {
    const { writes, connection } = setup();
    connection.hold();
    connection.send('one');
    connection.close('rate_limited');
    connection.send('two');
    connection.release();
    assert.equal(writes.length, 4);
    assert.deepEqual([writes[0], writes[1], writes[3]], ['\x81\x03one', 'owed', 'close']);
    assert.match(writes[2] ?? '', /disconnected/);
  });

  it('is slow when more waits than may, once', () => {
    const { slow, connection } = setup(5);
    connection.hold();
    for (const text of ['one', 'two']) connection.send(text);
    assert.deepEqual(slow, []);
    connection.release();
    assert.deepEqual(slow, [connection]);
  });
});
