import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { supported, WsServer } from '../../../src/transport/websocket/ws-adapter.ts';
import { fastPathsOff } from '../../support.ts';

const file = new URL('../../../src/transport/websocket/ws-adapter.ts', import.meta.url).href;
const noHead = Buffer.alloc(0);
const request = {
  method: 'GET',
  headers: {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  },
};

function server(refuse: (socket: Socket, error: Error) => void = () => undefined): WsServer {
  const limits = { maxPayload: 1024, closeTimeout: 100, maxFragments: 16, maxBufferedChunks: 16 };
  return new WsServer({ ...limits, handleProtocols: () => false, refuse });
}

/** Two ends of a connection in memory; the first stands for a socket. */
function pair(t: { after: (done: () => void) => void }): [socket: Socket, peer: Duplex] {
  const [socket, peer] = duplexPair();
  t.after(() => {
    socket.destroy();
    peer.destroy();
  });
  return [socket as unknown as Socket, peer];
}

const hi = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);

describe('the ws adapter', () => {
  it('supports the installed ws', { skip: fastPathsOff }, () => {
    assert.ok(supported);
  });

  it('reports no support if the tests switch the fast paths off', () => {
    const code = `import(${JSON.stringify(file)}).then(({ supported }) => console.log(supported))`;
    const env = { ...process.env, NODE_TEST_WSHUB_FAST_PATHS: 'off' };
    assert.equal(execFileSync(process.execPath, ['-e', code], { env, encoding: 'utf8' }), 'false\n');
  });

  it(
    'finds the listener of ws, which reads a message when it is called',
    { skip: fastPathsOff },
    async (t) => {
      const [socket] = pair(t);
      const ws = server().upgrade(request, socket, noHead);
      assert.ok(ws?.wsOnData);
      const message = once(ws, 'message');
      ws.wsOnData.call(socket, hi);
      assert.equal(String((await message)[0]), 'hi');
    },
  );

  it('uses no listener if several were added, and ws still reads', async (t) => {
    const [socket, peer] = pair(t);
    const foreign: string[] = [];
    const on = socket.on.bind(socket) as (event: string, listener: (chunk: Buffer) => void) => Socket;
    Object.assign(socket, {
      on: (event: string, listener: (chunk: Buffer) => void) => {
        on(event, listener);
        if (event === 'data') on(event, (chunk) => foreign.push(chunk.toString('hex')));
        return socket;
      },
    });
    const ws = server().upgrade(request, socket, noHead);
    assert.ok(ws);
    assert.equal(ws.wsOnData, null);
    peer.write(hi);
    assert.equal(String((await once(ws, 'message'))[0]), 'hi');
    assert.deepEqual(foreign, [hi.toString('hex')]);
  });

  it('refuses a request that ws does not accept', (t) => {
    const [socket] = pair(t);
    const refused: string[] = [];
    const ws = server((_socket, error) => refused.push(error.message)).upgrade(
      { ...request, method: 'POST' },
      socket,
      noHead,
    );
    assert.equal(ws, undefined);
    assert.deepEqual(refused, ['Invalid HTTP method']);
  });
});
