/** The functions that hooks.test.ts loads into its hubs. */
import { defineHandlers, Refusal } from '../../src/handlers/define.ts';

/** A value that cannot be examined. */
const hostile = new Proxy(
  {},
  {
    get: () => {
      throw new Error('hostile');
    },
    getPrototypeOf: () => {
      throw new Error('hostile');
    },
  },
);

export default defineHandlers({
  types: {
    chat: (message) => ({ ...message, handled: true }),
  },
  onSubscribe: async ({ channel, claims, address, cookies, log, hub }) => {
    await Promise.resolve();
    if (channel === 'fails') throw new Error('no database');
    if (channel === 'hangs') await new Promise(() => undefined);
    if (channel === 'foreign')
      throw Object.assign(new Error('from another copy'), { name: 'Refusal', code: 1999 });
    if (channel === 'wrong') throw Object.assign(new Error('no code'), { name: 'Refusal', code: 7 });
    if (channel === 'private' && cookies['key'] !== 'open') {
      log.info({ claims, address, workerId: hub.workerId }, 'refused');
      throw new Refusal(1234, 'members only');
    }
  },
  onPublish: (message, { connection, channel }) => {
    const { text } = (message ?? {}) as { text?: unknown };
    if (text === 'rude') throw new Refusal(450, 'mind your words');
    if (text === 'broken') throw new Error('a hook that fails');
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- anything may be thrown
    if (text === 'hostile') throw hostile;
    if (text === 'plain') return undefined;
    return { text, from: connection.id, channel };
  },
});
