/**
 * Kills workers that outlive the primary. A worker ends when its channel to the primary closes, but one whose event
 * loop is blocked, by a handler that never returns, does not see that and keeps the port. A shell of 1 MB waits for the
 * end of the primary instead of a watchdog thread in each worker, which would take 9 MB each.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { realpathSync } from 'node:fs';

/** How long workers may take to end on their own. */
const graceSeconds = 5;

/**
 * Reads the pids of the workers, a line whenever they change. At the end of input the primary is gone. A pid that the
 * kernel has given to another program meanwhile is left alone.
 */
const script = `
while read -r line; do pids=$line; done
sleep ${graceSeconds}
for pid in $pids; do
  case $(readlink "/proc/$pid/exe") in "$0"*) kill -9 "$pid" ;; esac
done`;

export class OrphanReaper {
  #shell: ChildProcess | undefined;

  /** @param pids of all workers that have not exited */
  watch(pids: readonly number[]): void {
    this.#shell ??= start();
    this.#shell.stdin?.write(`${pids.join(' ')}\n`);
  }
}

function start(): ChildProcess {
  // In a session of its own: a Ctrl-C is not for it.
  const shell: ChildProcess = spawn('sh', ['-c', script, realpathSync(process.execPath)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    cwd: '/',
  });
  shell.on('error', () => undefined); // no shell here: such workers stay
  shell.stdin?.on('error', () => undefined); // it was killed, or no descriptor was left for it
  shell.unref();
  process.on('exit', () => shell.kill());
  return shell;
}
