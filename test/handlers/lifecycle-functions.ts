/** The functions that lifecycle.test.ts loads into its hubs; what they do is said by the environment. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineHandlers } from '../../src/handlers/define.ts';

let isStarted = false;

export default defineHandlers({
  types: {
    started: (_message, { connection }) => {
      connection.send(isStarted);
    },
    request: (_message, { address, query, headers, cookies, connection }) => {
      connection.send({ address, query, headers, cookies });
    },
    log: (_message, { log }) => {
      log.info('a line');
      log.warn({ colour: 'red' }, 'a line with members');
    },
  },
  commands: { started: () => isStarted },
  onStart: async (hub) => {
    const failure = process.env['TEST_FAILURE_FILE'];
    if (failure !== undefined && existsSync(failure)) throw new Error('no database');
    if (process.env['TEST_ENDLESS'] !== undefined) await new Promise(() => undefined);
    await sleep(50);
    hub.publish('news', { started: hub.workerId });
    isStarted = true;
  },
  onStop: async (hub) => {
    const gate = process.env['TEST_GATE_FILE'];
    if (gate === undefined) throw new Error('a farewell that fails');
    while (!existsSync(gate)) await sleep(10);
    hub.publish('news', { stopped: hub.workerId });
  },
});
