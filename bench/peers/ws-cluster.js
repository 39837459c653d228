// The server most people write first: node:cluster, the ws package, a send per client, and the primary passing
// every message on to the other workers.
import cluster from 'node:cluster';
import process from 'node:process';
import { WebSocketServer } from 'ws';

const port = Number(process.env.PORT);
const workers = Number(process.env.WORKERS);

function primary() {
  let listening = 0;
  cluster.on('listening', () => {
    listening += 1;
    if (listening === workers) process.stdout.write('ready\n');
  });
  cluster.on('message', (from, message) => {
    for (const worker of Object.values(cluster.workers)) {
      if (worker !== from) worker.send(message);
    }
  });
  for (let i = 0; i < workers; i++) cluster.fork();
}

function worker() {
  const channels = new Map();

  function deliver(channel, text) {
    for (const client of channels.get(channel) ?? []) client.send(text);
  }

  function leave(channel, client) {
    const clients = channels.get(channel);
    clients.delete(client);
    if (clients.size === 0) channels.delete(channel);
  }

  const server = new WebSocketServer({ port, host: '127.0.0.1', backlog: 4096 });
  server.on('connection', (client, request) => {
    const channel = request.url.slice(1);
    const clients = channels.get(channel);
    if (clients) clients.add(client);
    else channels.set(channel, new Set([client]));
    client.on('error', () => client.terminate());
    client.on('close', () => leave(channel, client));
    client.on('message', (data) => {
      const text = data.toString();
      deliver(channel, text);
      process.send({ channel, text });
    });
    client.send('{"status":"connected"}');
  });
  process.on('message', ({ channel, text }) => deliver(channel, text));
}

if (cluster.isPrimary) primary();
else worker();
