/**
 * An example of your own functions: a chat whose newcomers are told the last messages, places on a map, and who
 * is there. Run it with WSHUB_HANDLERS=deploy/example-handlers.ts; docs/handlers.md explains the parts.
 */
import { defineHandlers, type ClientContext, type HubHandle, type Message } from 'wshub/handlers';

/** What newcomers are told of a channel, at most. */
const historyLength = 50;
/** Channels whose history is kept; the one that was silent longest is forgotten first. */
const maxChannels = 1_000;
const maxTextLength = 2_000;
const statuses = ['online', 'away', 'busy'];

/** The last messages of each channel, the latest at the end. Every worker keeps all of it. */
const history = new Map<string, Message[]>();
/** A worker that has just started asks a sibling once for what was said before. */
let caughtUp: Promise<void> | undefined;

export default defineHandlers({
  types: {
    chat: (message, { channel, connection, hub }) => {
      const text = message['text'];
      if (typeof text !== 'string' || text.length > maxTextLength) {
        connection.send({ type: 'refused', reason: `text must be a string of at most ${maxTextLength}` });
        return undefined; // nothing goes to the channel
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

  // Run in every worker, so that each can greet a newcomer by itself.
  broadcastCommands: {
    remember: (payload) => {
      const { channel, message } = payload as { channel: string; message: Message };
      const messages = history.get(channel) ?? [];
      messages.push(message);
      if (messages.length > historyLength) messages.shift();
      history.delete(channel); // a Map keeps the order of insertion: now this one is the latest
      history.set(channel, messages);
      const [oldest] = history.keys();
      if (history.size > maxChannels && oldest !== undefined) history.delete(oldest);
    },
  },

  // Run in one worker, for another that asks.
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
    // The sibling is gone or slow: a short history is better than no chat.
  }
}

function isDegree(value: unknown, most: number): boolean {
  return typeof value === 'number' && Math.abs(value) <= most;
}
