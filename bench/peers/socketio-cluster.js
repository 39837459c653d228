// Socket.IO with its cluster adapter, WebSocket transport only: a channel is a room.
import { createAdapter, setupPrimary } from '@socket.io/cluster-adapter';
import cluster from 'node:cluster';
import { createServer } from 'node:http';
import process from 'node:process';
import { Server } from 'socket.io';

const port = Number(process.env.PORT);
const workers = Number(process.env.WORKERS);

function primary() {
  let listening = 0;
  setupPrimary();
  cluster.on('listening', () => {
    listening += 1;
    if (listening === workers) process.stdout.write('ready\n');
  });
  for (let i = 0; i < workers; i++) cluster.fork();
}

function worker() {
  const server = createServer();
  const io = new Server(server, { transports: ['websocket'], adapter: createAdapter(), serveClient: false });
  io.on('connection', (socket) => {
    const { channel } = socket.handshake.query;
    socket.on('m', (message) => io.to(channel).emit('m', message));
    socket.join(channel);
    socket.emit('connected');
  });
  server.listen({ port, host: '127.0.0.1', backlog: 4096 });
}

if (cluster.isPrimary) primary();
else worker();
