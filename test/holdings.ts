/** Resources of a hub's primary, for tests of leaks. */
import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventually, type HubProcess } from './support.ts';

/** Environment of a hub whose resources are read: its processes load this file, and answer a signal. */
export const askable = { NODE_OPTIONS: `--import=${import.meta.url}` };
const question = 'SIGUSR2';
const mark = 'holdings: ';

export interface Holdings {
  /** bytes in use on the JavaScript heap after a collection */
  heapBytes: number;
  /** timers, sockets, pipes and the like that keep the primary alive, by kind */
  resources: string;
  descriptors: number;
  children: number;
  /** in the runtime directory */
  files: number;
}

export async function holdingsOf(hub: HubProcess): Promise<Holdings> {
  const answers = () => hub.stderr.split('\n').filter((line) => line.startsWith(mark));
  const before = answers().length;
  hub.signal(question);
  const answer = await eventually(() => answers()[before], 'what the primary holds');
  return {
    ...(JSON.parse(answer.slice(mark.length)) as Pick<Holdings, 'heapBytes' | 'resources'>),
    descriptors: readdirSync(`/proc/${hub.pid}/fd`).length,
    children: readFileSync(`/proc/${hub.pid}/task/${hub.pid}/children`, 'utf8').trim().split(' ').length,
    files: readdirSync(hub.runtimeDir).length,
  };
}

if (process.env['NODE_OPTIONS'] === askable.NODE_OPTIONS) {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  process.on(question, () => {
    collect();
    const heapBytes = process.memoryUsage().heapUsed;
    const resources = process.getActiveResourcesInfo().sort().join(' ');
    process.stderr.write(`${mark}${JSON.stringify({ heapBytes, resources })}\n`);
  });
}
