// The process of channels with more than a worker can write: senders of 240 messages of 64 KB a second, each to many
// readers. It says `busy` once all are there, and sends until it is killed.
// Arguments: the server's port, the senders, the readers of each.
import { once } from 'node:events';
import { connect, handshake, openSocket } from '../../test/support.ts';

const messagesPerSecond = 240;
const filler = 'x'.repeat(64_000);
/** What a client that minds its own memory leaves unsent. */
const maxUnsentBytes = 1024 * 1024;

async function openReader(port: number, channel: string): Promise<void> {
  const { socket } = await openSocket(port);
  const headers = Object.entries({ host: 'test', ...handshake }).map(([name, value]) => `${name}: ${value}`);
  socket.removeAllListeners('data');
  const opened = once(socket, 'data');
  socket.write([`GET /${channel} HTTP/1.1`, ...headers, '', ''].join('\r\n'));
  await opened;
  socket.on('data', () => undefined);
}

const [port = 0, senders = 0, readersEach = 0] = process.argv.slice(2).map(Number);
for (let hog = 0; hog < senders; hog += 1) {
  for (let reader = 0; reader < readersEach; reader += 1) await openReader(port, `hog/${hog}`);
}
for (let hog = 0; hog < senders; hog += 1) {
  const { ws } = await connect({ port }, `hog/${hog}?echo=false`);
  setInterval(() => {
    if (ws.bufferedAmount < maxUnsentBytes) ws.send(JSON.stringify(filler));
  }, 1_000 / messagesPerSecond);
}
process.send?.('busy');
process.on('disconnect', () => {
  process.exit();
});
