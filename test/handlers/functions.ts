/** The functions that the tests of this folder load into their hubs. */
import { existsSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineHandlers } from '../../src/handlers/define.ts';
import { hostile, odd } from './hostile.ts';

/** Resolved by a `release` message on the same worker. */
let release: (() => void) | undefined;

export default defineHandlers({
  types: {
    double: (message) => ({ doubled: Number(message['n']) * 2 }),
    silent: () => undefined,
    later: async (message) => {
      await sleep(Number(message['ms']));
      return { later: message['n'] };
    },
    wait: async () => {
      await new Promise<void>((resolve) => (release = resolve));
      return 'released';
    },
    release: () => {
      release?.();
    },
    never: () => new Promise(() => undefined),
    loop: () => {
      for (;;);
    },
    hostile: (message) => hostile[String(message['name'])]?.(),
    odd: (message) => odd[String(message['name'])]?.(),
    forgottenHostile: () => {
      for (const run of Object.values(hostile)) void (async () => await run())();
      return 'forgot them';
    },
    fail: () => {
      throw new Error('as the test wants it');
    },
    failLater: () => Promise.reject(new Error('as the test wants it')),
    unserializable: () => () => undefined,
    forgotten: () => {
      void Promise.reject(new Error('nobody handles this'));
      return 'forgot it';
    },
    reply: (_message, { connection, channel, hub }) => {
      connection.send({ id: connection.id, claims: connection.claims, channel, workerId: hub.workerId });
    },
    twice: (message, { publish }) => {
      publish({ published: message['n'] });
      return { returned: message['n'] };
    },
    inOrder: (message, { publish, connection }) => {
      publish({ published: message['n'] });
      connection.send({ sent: message['n'] });
      publish({ then: message['n'] });
      return { returned: message['n'] };
    },
    elsewhere: (message, { hub }) => {
      hub.publish(String(message['channel']), { from: 'elsewhere' });
    },
    flood: (message, { hub, connection }) => {
      const { channel, from, count, bytes } = message as unknown as Record<
        'from' | 'count' | 'bytes',
        number
      > & {
        channel: string;
      };
      const filler = 'x'.repeat(bytes);
      for (let n = from; n < from + count; n += 1) hub.publish(channel, { n, filler });
      connection.send('flooded');
    },
    publishLarge: (message, { hub, connection }) => {
      try {
        hub.publish(String(message['channel']), 'x'.repeat(Number(message['bytes'])));
      } catch (error) {
        connection.send({ thrown: (error as Error).message });
      }
    },
    repeat: (message) => message,
    askLarge: async (message, { hub, connection }) => {
      const payload = 'x'.repeat(Number(message['bytes']));
      const all = await hub.broadcastCommand('whoAmI', payload);
      const one = await hub.command('add', payload, String(message['workerId'])).then(
        () => 'done',
        (error: unknown) => (error as Error).message,
      );
      connection.send({ all, one });
    },
    compute: (message, { hub }) => {
      writeFileSync(`${String(message['until'])}.begun`, '');
      while (!existsSync(String(message['until'])));
      hub.publish(String(message['channel']), { computed: message['channel'] });
    },
    leave: (message, { connection }) => {
      connection.close(message['code'] as number | undefined, message['reason'] as string | undefined);
    },
    ask: async (message, { hub, connection }) => {
      const { name, payload, workerId } = message as unknown as {
        name: string;
        payload: unknown;
        workerId: string;
      };
      try {
        connection.send({ value: await hub.command(name, payload, workerId) });
      } catch (error) {
        connection.send({ rejected: (error as Error).message });
      }
    },
    askAll: async (message, { hub, connection }) => {
      connection.send(await hub.broadcastCommand(String(message['name']), message['payload']));
    },
    state: (_message, { hub, connection }) => {
      connection.send(hub.state());
    },
    channels: async (_message, { hub, connection }) => {
      connection.send(await hub.channels());
    },
  },
  commands: {
    add: (payload, { hub, from }) => {
      const { a, b } = payload as { a: number; b: number };
      return { sum: a + b, by: hub.workerId, from };
    },
    fail: () => {
      throw new Error('no such luck');
    },
    never: () => new Promise(() => undefined),
    large: (payload) => 'x'.repeat(Number(payload)),
    hostile: (payload) => hostile[String(payload)]?.(),
    silent: () => undefined,
  },
  broadcastCommands: {
    hostile: (payload) => hostile[String(payload)]?.(),
    whoAmI: (payload, { hub, from }) => ({ payload, by: hub.workerId, from }),
    failOn: (payload, { hub }) => {
      if (payload === hub.workerId) throw new Error('not here');
      return 'well';
    },
  },
  onConnect: async ({ channel, connection }) => {
    if (!channel.startsWith('greeted/')) return;
    await sleep(20); // what the client says meanwhile waits
    connection.send('welcome');
  },
  onDisconnect: ({ channel, connection, hub }) => {
    if (channel.startsWith('greeted/')) hub.publish('departures', { channel, id: connection.id });
  },
});
