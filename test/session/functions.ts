/** Handlers of the tests of sessions. */
import { defineHandlers, Refusal } from '../../src/handlers/define.ts';

export default defineHandlers({
  types: {
    double: ({ n }) => ({ doubled: 2 * (n as number) }),
    silent: () => undefined,
    broken: () => {
      throw new Error('broken on purpose');
    },
  },
  onSubscribe: async ({ channel }) => {
    if (!channel.startsWith('asked:')) return;
    await Promise.resolve();
    if (channel === 'asked:no') throw new Refusal(1001, 'members only');
    if (channel === 'asked:broken') throw new Error('broken on purpose');
  },
  onPublish: (message, { channel }) => {
    if (channel !== 'asked:yes') return undefined;
    if (message === 'refused') throw new Refusal(1002, 'not like this', { temporary: true });
    return { changed: message };
  },
  methods: {
    add: (data) => (data as number[]).reduce((sum, n) => sum + n, 0),
    nothing: () => undefined,
    close: (code, { connection }) => {
      connection.close(code as number | undefined);
    },
    later: async (data) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return data;
    },
    own: () => {
      throw new Refusal(409, 'sold out', { temporary: true });
    },
    broken: () => {
      throw new Error('broken on purpose');
    },
    tell: (data, { connection, hub }) => {
      connection.send({ told: data });
      hub.publish('told', { id: connection.id });
    },
  },
});
