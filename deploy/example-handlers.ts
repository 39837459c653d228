/**
 * Example handlers: a chat with history for new clients, locations on a map, and online status. Run it with
 * WSHUB_HANDLERS=deploy/example-handlers.ts; docs/handlers.md explains the parts.
 */
import { defineHandlers, type ClientContext, type HubHandle, type Message } from 'wshub/handlers';

/** Maximum messages in the history of a channel. */
const historyLength = 50;
/** Maximum channels with a history; the least recently used one is dropped first. */
const maxChannels = 1_000;
const maxTextLength = 2_000;
const statuses = ['online', 'away', 'busy'];

/** The last messages of each channel, oldest first. Every worker has a complete copy. */
const history = new Map<string, Message[]>();
/** A new worker requests the history from a sibling once. */
let caughtUp: Promise<void> | undefined;

export default defineHandlers({
  types: {
    chat: (message, { channel, connection, hub }) => {
      const text = message['text'];
      if (typeof text !== 'string' || text.length > maxTextLength) {
        connection.send({ type: 'refused', reason: `text must be a string of at most ${maxTextLength}` });
        return undefined; // publishes nothing
      }
      const said: Message = { type: 'chat', from: connection.id, text, at: Date.now() };
      void hub.broadcastCommand('remember', { channel, message: said });
      return said;
    },

    location: (message, { connection }) => {
      const { latitude, longitude } = message as { latitude?: unknown; longitude?: unknown };
      if (!isDegree(latitude, 90) || !isDegree(longitude, 180)) {
        connection.send({ type: 'refused', reason: 'latitude and longitude must be degrees' });
        return undefined;
      }
      return { type: 'location', from: connection.id, latitude, longitude };
    },

    status: (message, { connection }) => {
      const status = message['status'];
      if (typeof status !== 'string' || !statuses.includes(status)) {
        connection.send({ type: 'refused', reason: `status must be one of ${statuses.join(', ')}` });
        return undefined;
      }
      return { type: 'status', from: connection.id, status };
    },
  },

  // Run in every worker, so that each has the history.
  broadcastCommands: {
    remember: (payload) => {
      const { channel, message } = payload as { channel: string; message: Message };
      const messages = history.get(channel) ?? [];
      messages.push(message);
      if (messages.length > historyLength) messages.shift();
      history.delete(channel); // a Map keeps insertion order: makes this channel the latest
      history.set(channel, messages);
      const [oldest] = history.keys();
      if (history.size > maxChannels && oldest !== undefined) history.delete(oldest);
    },
  },

  // Run in one worker, called by another.
  commands: {
    history: () => [...history],
  },

  onConnect: async (client) => {
    caughtUp ??= catchUp(client.hub);
    await caughtUp;
    greet(client);
  },

  onDisconnect: ({ connection, publish }) => {
    publish({ type: 'status', from: connection.id, status: 'offline' });
  },
});

function greet({ channel, connection }: ClientContext): void {
  const messages = history.get(channel);
  if (messages) connection.send({ type: 'history', messages });
}

async function catchUp(hub: HubHandle): Promise<void> {
  const sibling = hub.state().workers.find(({ workerId }) => workerId !== hub.workerId);
  if (!sibling) return;
  try {
    const known = (await hub.command('history', null, sibling.workerId)) as [string, Message[]][];
    for (const [channel, messages] of known) if (!history.has(channel)) history.set(channel, messages);
  } catch {
    // The sibling has exited or is slow: start with an incomplete history.
  }
}

function isDegree(value: unknown, most: number): boolean {
  return typeof value === 'number' && Math.abs(value) <= most;
}
