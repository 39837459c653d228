/** Handlers with which tests inspect a worker: its memory, its link output; and a leak, to prove that leaks are found. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { defineHandlers } from '../../src/handlers/define.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

// The hello of a link names the hub; the file is where a test finds it.
const helloFile = process.env['TEST_HELLO_FILE'];
if (helloFile !== undefined) {
  const { writeSync } = fs;
  const watching = (descriptor: number, data: Buffer, ...rest: []) => {
    const hello = Buffer.isBuffer(data) ? /\{"hubId":[^}]*\}/.exec(data.toString('latin1')) : null;
    if (hello) fs.appendFileSync(helloFile, `${hello[0]}\n`);
    return writeSync(descriptor, data, ...rest);
  };
  Object.assign(fs, { writeSync: watching });
  syncBuiltinESMExports();
}

const leaked: Buffer[] = [];

export default defineHandlers({
  types: {
    resources: async (_message, { connection }) => {
      for (let round = 0; round < 5; round += 1) {
        collectGarbage();
        await new Promise(setImmediate);
      }
      const { heapUsed, external } = process.memoryUsage();
      connection.send(heapUsed + external);
    },
    leak: ({ bytes }, { connection }) => {
      leaked.push(Buffer.alloc(Number(bytes)));
      connection.send('leaked');
    },
  },
});
