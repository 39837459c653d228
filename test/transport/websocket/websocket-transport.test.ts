/** The transport behaves like a WebSocket of ws, whatever arrives and in whatever pieces. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { IncomingMessage } from 'node:http';
import { createConnection, createServer, type AddressInfo, type Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { WebSocketServer } from 'ws';
import type { CloseReason } from '../../../src/platform/close-reasons.ts';
import type { Endpoint, TransportEvents } from '../../../src/transport/transport.ts';
import { WebSocketTransport } from '../../../src/transport/websocket/websocket-transport.ts';
import { WsReaderFactory } from '../../../src/transport/websocket/ws-reader.ts';
import { clientFrame } from '../../client-frame.ts';
import { chunked, maxPayload, seed } from './client-streams.ts';

const limits = { maxPayload, maxFragments: 1024, maxBufferedChunks: 1024 * 1024 };
const options = { closeTimeoutMs: 60_000, wsReaders: new WsReaderFactory(limits) };
const response = Buffer.from('101');
const codes: Partial<Record<CloseReason, number>> = {
  invalid_utf8: 1007,
  message_too_big: 1009,
  policy_violation: 1008,
  protocol_error: 1002,
};

/** Records what happens to a transport, in the words of `wsOutcome`. */
class Recorder implements Endpoint, TransportEvents<Endpoint> {
  readonly heard: string[] = [];
  readonly maxPayload = maxPayload;
  readonly ends: Promise<void>;
  state: Endpoint['state'] = 'open';
  awaitsPong = false;
  readonly #transport: WebSocketTransport;
  #end!: () => void;

  constructor(socket: Socket, head: Buffer = Buffer.alloc(0), more: Partial<typeof options> = {}) {
    this.ends = new Promise((resolve) => (this.#end = resolve));
    this.#transport = new WebSocketTransport(socket, response, head, { ...options, ...more });
    this.#transport.attach(this, this);
    this.#transport.uncork();
  }

  beginClose(): boolean {
    const isFirst = this.state === 'open';
    if (isFirst) this.state = 'closing';
    return isFirst;
  }

  close(reason: CloseReason): void {
    if (this.beginClose()) this.#transport.close(codes[reason] ?? 0, '');
  }

  closeWith(code: number, text: string): void {
    if (this.beginClose()) this.#transport.close(code, text);
  }

  message(_: Endpoint, data: Buffer, isBinary: boolean): void {
    this.heard.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`);
  }

  ping(_: Endpoint, data: Buffer): void {
    this.heard.push(`ping ${data.toString('hex')}`);
  }

  pong(_: Endpoint, data: Buffer): void {
    this.heard.push(`pong ${data.toString('hex')}`);
  }

  ended(_?: Endpoint, code?: number): void {
    this.state = 'closed';
    if (code === undefined) return;
    this.heard.push(`closed ${code}`);
    this.#end();
  }

  pause(): void {
    this.#transport.pause();
  }

  resume(): void {
    this.#transport.resume();
  }

  hold(): void {
    // nothing is written here
  }

  release(): void {
    // nothing is written here
  }

  tooManyPieces(): void {
    this.heard.push('too many pieces');
  }
}

/** Sends the chunks to one end of a pair, and returns all bytes that come back. The peer then ends its side. */
async function exchange(peer: Duplex, chunks: readonly Buffer[]): Promise<Buffer> {
  const back: Buffer[] = [];
  const ended = once(peer, 'end');
  peer.on('data', (bytes: Buffer) => back.push(bytes));
  for (const chunk of chunks) {
    if (!peer.writable) break;
    peer.write(Buffer.from(chunk));
    await new Promise(setImmediate);
  }
  peer.end();
  await ended;
  return Buffer.concat(back);
}

function pair(): [socket: Socket, peer: Duplex] {
  const [socket, peer] = duplexPair();
  return [socket as unknown as Socket, peer];
}

async function ourOutcome(chunks: readonly Buffer[]): Promise<string[]> {
  const [socket, peer] = pair();
  const recorder = new Recorder(socket);
  const back = await exchange(peer, chunks);
  await recorder.ends;
  return [...recorder.heard, back.subarray(response.length).toString('hex')];
}

async function wsOutcome(chunks: readonly Buffer[]): Promise<string[]> {
  const [socket, peer] = pair();
  const heard: string[] = [];
  const server = new WebSocketServer({ ...limits, noServer: true, autoPong: false });
  const headers = {
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  const request = Object.assign(new IncomingMessage(socket), { method: 'GET', headers });
  const closed = new Promise<void>((resolve) => {
    server.handleUpgrade(request, socket, Buffer.alloc(0), (ws) => {
      ws.on('message', (data: Buffer, isBinary) => {
        heard.push(`${isBinary ? 'binary' : 'text'} ${data.toString()}`);
      });
      ws.on('ping', (data) => heard.push(`ping ${data.toString('hex')}`));
      ws.on('pong', (data) => heard.push(`pong ${data.toString('hex')}`));
      ws.on('error', () => undefined);
      ws.on('close', (code) => {
        heard.push(`closed ${code}`);
        resolve();
      });
    });
  });
  const back = await exchange(peer, chunks);
  await closed;
  return [...heard, back.subarray(back.indexOf('\r\n\r\n') + 4).toString('hex')];
}

/** A transport on a TCP connection, and the client's end of it. */
async function connected(
  t: TestContext,
  more: Partial<typeof options> = {},
): Promise<[recorder: Recorder, peer: Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const peer = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [Socket];
  t.after(() => peer.destroy());
  return [new Recorder(socket, Buffer.alloc(0), more), peer];
}

describe(`a WebSocket transport (TEST_SEED=${seed})`, () => {
  it('reports and answers what a WebSocket of ws does, for 300 streams', async () => {
    let closes = 0;
    const property = fc.asyncProperty(fc.noBias(chunked), async (chunks) => {
      const expected = await wsOutcome(chunks);
      assert.deepEqual(await ourOutcome(chunks), expected);
      if (expected.at(-1)) closes += 1;
    });
    await fc.assert(property, { seed, numRuns: 300 });
    assert.ok(closes > 50, `only ${closes} with a close frame`);
  });

  it('sends the response and what was written before uncork in one piece, then reads the head', async () => {
    const [socket, peer] = pair();
    const recorder = new Recorder(socket, clientFrame(0x81, Buffer.from('early')));
    const [first] = (await once(peer, 'data')) as [Buffer];
    assert.equal(first.toString(), '101');
    await new Promise(setImmediate);
    assert.deepEqual(recorder.heard, ['text early']);
    peer.destroy();
    socket.destroy();
  });

  it('destroys the socket of a peer that does not answer the close frame', async (t) => {
    const [recorder, peer] = await connected(t, { closeTimeoutMs: 50 });
    recorder.closeWith(4000, 'bye');
    const [frame] = (await once(peer, 'data')) as [Buffer];
    assert.equal(frame.subarray(response.length).toString('latin1'), '\x88\x05\x0f\xa0bye');
    await recorder.ends;
    assert.deepEqual(recorder.heard, ['closed 1006']);
  });

  it('ends the connection when the peer answers its close frame, and reports the code of the peer', async (t) => {
    const [recorder, peer] = await connected(t);
    recorder.closeWith(4000, 'bye');
    await once(peer, 'data');
    peer.write(clientFrame(0x81, Buffer.from('too late')));
    peer.write(clientFrame(0x88, Buffer.from([0x0f, 0xa0])));
    await once(peer, 'end');
    peer.end();
    await recorder.ends;
    assert.deepEqual(recorder.heard, ['closed 4000']);
  });

  it('refuses a reason that does not fit into a close frame', async (t) => {
    const [recorder] = await connected(t);
    assert.throws(() => {
      recorder.closeWith(4000, 'x'.repeat(124));
    }, RangeError);
  });

  it('handles what arrived during a pause when the peer has left', async (t) => {
    const [recorder, peer] = await connected(t);
    await once(peer, 'data');
    recorder.pause();
    peer.write(clientFrame(0x81, Buffer.from('last words')));
    peer.end();
    await once(peer, 'finish');
    recorder.resume();
    await recorder.ends;
    assert.deepEqual(recorder.heard, ['text last words', 'closed 1006']);
  });
});
