/**
 * Kills workers that outlive the primary. A worker exits when its IPC channel closes, unless a handler that never returns blocks
 * its event loop; then it keeps the port. A shell of 1 MB waits for the end of the primary; a watchdog thread in each worker
 * would take 9 MB each.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { realpathSync } from 'node:fs';

/** Time for workers to exit on their own. */
const graceSeconds = 5;

/**
 * Reads the pids of the workers, one line whenever they change. The end of input means that the primary is dead. A pid that now
 * belongs to another program is left alone.
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
  // In a session of its own: Ctrl-C must not end it.
  const shell: ChildProcess = spawn('sh', ['-c', script, realpathSync(process.execPath)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin' },
    cwd: '/',
  });
  shell.on('error', () => undefined); // no shell on this machine: blocked workers stay
  shell.stdin?.on('error', () => undefined); // it was killed, or no descriptor was left for it
  shell.unref();
  process.on('exit', () => shell.kill());
  return shell;
}
