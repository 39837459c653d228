// About the least that a Node server can do for a WebSocket: node:net, a listening socket for each worker, the handshake and
// `connected` in one write, the answer to a close frame. It knows no channels and reads nothing else. What it costs is
// nearly all Node's and the kernel's.
import { Buffer } from 'node:buffer';
import cluster from 'node:cluster';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import process from 'node:process';

const port = Number(process.env.PORT);
const workers = Number(process.env.WORKERS);

const connected = frame(0x81, '{"status":"connected"}');
const normalClosure = frame(0x88, '\x03\xe8');
const greeted = Symbol('greeted');

function primary() {
  let listening = 0;
  cluster.on('message', () => {
    listening += 1;
    if (listening === workers) process.stdout.write('ready\n');
  });
  for (let i = 0; i < workers; i++) cluster.fork();
}

function worker() {
  const options = { port, host: '127.0.0.1', backlog: 4096, reusePort: true };
  createServer({ noDelay: true }, (socket) => {
    socket.on('data', heard);
    socket.on('error', () => socket.destroy());
  }).listen(options, () => process.send('listening'));
}

function heard(chunk) {
  if (this[greeted]) {
    this.end(normalClosure);
    return;
  }
  this[greeted] = true;
  const key = /sec-websocket-key: *(\S+)/i.exec(chunk.toString('latin1'))?.[1];
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
  this.write(Buffer.concat([Buffer.from(head), connected]));
}

/** RFC 6455 section 5.2, for less than 126 bytes. */
function frame(firstByte, payload) {
  return Buffer.concat([Buffer.from([firstByte, payload.length]), Buffer.from(payload, 'latin1')]);
}

if (cluster.isPrimary) primary();
else worker();
