/** Raw sockets: bytes arrive in order and at the right socket, whatever is queued, paused, split or closed. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { readBuffered, readDirect, writeNow } from '../../../src/platform/node-internals/raw-socket.ts';

const chunkBytes = 16 * 1024;

/** A server whose sockets are closed with the test. */
async function listening(t: TestContext): Promise<Server> {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return server;
}

/** Both ends of a TCP connection. */
async function connected(t: TestContext, server: Server): Promise<[near: Socket, far: Socket]> {
  const near = createConnection((server.address() as AddressInfo).port, '127.0.0.1');
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [
    [Socket],
    unknown,
  ];
  t.after(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

async function socketPair(t: TestContext): Promise<[near: Socket, far: Socket]> {
  return connected(t, await listening(t));
}

/** A chunk that says which one it is, in every four bytes. */
function chunk(number: number): Buffer {
  const bytes = Buffer.alloc(chunkBytes);
  for (let at = 0; at < chunkBytes; at += 4) bytes.writeUInt32BE(number, at);
  return bytes;
}

/** Returns everything received until the end, in order. */
function collected(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (data) => chunks.push(data));
  return once(socket, 'end').then(() => Buffer.concat(chunks));
}

/** The same, read past the stream. */
function taken(socket: Socket, onBytes?: () => void): Promise<Buffer> {
  const chunks: Buffer[] = [];
  readDirect(socket, (bytes, length) => {
    chunks.push(Buffer.from(bytes.subarray(0, length)));
    onBytes?.();
  });
  return once(socket, 'end').then(() => Buffer.concat(chunks));
}

function descriptor(socket: Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd;
}

describe('writeNow', () => {
  it('buffers nothing if the kernel accepts all bytes', async (t) => {
    const [near, far] = await socketPair(t);
    assert.equal(writeNow(near, Buffer.from('hello')), 0);
    assert.equal(near.bytesWritten, 0, 'the stream has not seen it');
    assert.equal(String((await once(far, 'data'))[0]), 'hello');
  });

  it('keeps the order over full buffers, and writes past the stream again when they have emptied', async (t) => {
    const [near, far] = await socketPair(t);
    const expected: Buffer[] = [];
    const say = () => {
      const next = chunk(expected.length);
      expected.push(next);
      return writeNow(near, next);
    };
    while (say() === 0);
    for (let more = 0; more < 20; more += 1) assert.ok(say() > 0, 'what comes behind it waits too');
    const came = collected(far);
    while (near.writableLength > 0) await setImmediate();
    const before = near.bytesWritten;
    say();
    assert.equal(near.bytesWritten, before, 'the stream has not seen the last');
    near.end();
    assert.ok(Buffer.concat(expected).equals(await came));
  });

  it('writes after corked bytes', async (t) => {
    const [near, far] = await socketPair(t);
    near.cork();
    near.write('first ');
    assert.ok(writeNow(near, Buffer.from('second')) > 0);
    near.uncork();
    near.end();
    assert.equal(String(await collected(far)), 'first second');
  });

  it('never writes to a socket that has reused the descriptor of a closed one', async (t) => {
    const server = await listening(t);
    const [closed] = await connected(t, server);
    closed.on('error', () => undefined);
    writeNow(closed, Buffer.from('while it is open'));
    const number = descriptor(closed);
    closed.destroy();
    let other: Socket | undefined;
    let otherFar: Socket | undefined;
    for (let tries = 0; tries < 50 && !other; tries += 1) {
      const [near, far] = await connected(t, server);
      if (descriptor(near) === number) [other, otherFar] = [near, far];
      if (descriptor(far) === number) [other, otherFar] = [far, near];
    }
    assert.ok(other && otherFar, `no socket got descriptor ${number}`);
    writeNow(closed, Buffer.from('for somebody else'));
    other.end('for me');
    assert.equal(String(await collected(otherFar)), 'for me');
  });

  it('writes nothing after the end of the stream', async (t) => {
    const [near, far] = await socketPair(t);
    const reported = new Promise((resolve) => near.on('error', resolve));
    near.end('last');
    writeNow(near, Buffer.from('too late'));
    assert.match(String(await reported), /write after end/);
    assert.equal(String(await collected(far)), 'last');
  });

  it('has the stream report that the peer is gone', async (t) => {
    const [near, far] = await socketPair(t);
    far.resetAndDestroy();
    const reported = new Promise((resolve) => near.on('error', resolve));
    while (!near.destroyed) {
      writeNow(near, Buffer.from('anyone?'));
      await setImmediate();
    }
    assert.match(String(await reported), /EPIPE|ECONNRESET/);
  });

  it('uses the stream if there is no descriptor', () => {
    const stream = new PassThrough();
    writeNow(stream as unknown as Socket, Buffer.from('hello'));
    assert.equal(String(stream.read()), 'hello');
  });
});

describe('readDirect', () => {
  it('passes on received bytes without keeping them, and the end after them', async (t) => {
    const [near, far] = await socketPair(t);
    const came = taken(far);
    near.end('hello');
    assert.equal(String(await came), 'hello');
  });

  it('keeps the order over pauses', async (t) => {
    const [near, far] = await socketPair(t);
    let pauses = 0;
    const came = taken(far, () => {
      if (far.isPaused() || pauses === 50) return;
      pauses += 1;
      far.pause();
      setTimeout(() => far.resume(), pauses % 3);
    });
    const sent: Buffer[] = [];
    for (let number = 0; number < 400; number += 1) {
      sent.push(chunk(number));
      if (!near.write(chunk(number))) await once(near, 'drain');
    }
    near.end();
    assert.ok(Buffer.concat(sent).equals(await came));
    assert.equal(pauses, 50);
  });

  it('stops reading while the socket is paused', async (t) => {
    const [near, far] = await socketPair(t);
    readDirect(far, () => undefined);
    far.pause();
    let written = 0;
    while (near.write(chunk(written++)) || (await tookSome(near)));
    assert.equal(far.readableLength, 0, 'it is all in the kernel');
  });

  it('passes on earlier bytes, and bytes that arrive during a pause', async (t) => {
    const [near, far] = await socketPair(t);
    const waits = async (text: string) => {
      near.write(text);
      while (far.readableLength === 0) await setImmediate();
    };
    await waits('one ');
    const first: string[] = [];
    readDirect(far, (bytes, length) => first.push(bytes.toString('latin1', 0, length)));
    while (first.length === 0) await setImmediate();
    readBuffered(far);
    Object.assign(far, { readableFlowing: null });
    await waits('two ');
    const came = taken(far);
    near.end('three');
    assert.equal(first.join('') + String(await came), 'one two three');
  });

  it('reads into one buffer, until it is stopped', async (t) => {
    const [near, far] = await socketPair(t);
    const kept: Buffer[] = [];
    const heard = new EventEmitter();
    const say = async (text: string) => {
      near.write(text);
      await once(heard, 'heard');
    };
    readDirect(far, (bytes, length) => {
      kept.push(bytes.subarray(0, length));
      heard.emit('heard');
    });
    await say('one');
    await say('two');
    assert.deepEqual(kept.map(String), ['two', 'two']);
    readBuffered(far);
    far.on('data', (data) => {
      kept.push(data);
      heard.emit('heard');
    });
    await say('three');
    await say('four');
    assert.deepEqual(kept.slice(2).map(String), ['three', 'four']);
  });
});

/** Whether the kernel takes more of what waits within a few turns of the event loop. */
async function tookSome(socket: Socket): Promise<boolean> {
  const before = socket.writableLength;
  for (let turns = 0; turns < 50; turns += 1) await setImmediate();
  return socket.writableLength < before;
}
