/**
 * What a SIGHUP means. An operator sends it for a reload; a terminal that is closed sends it too, to all that was
 * started from it.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { isatty } from 'node:tty';

export type HangupMeaning = 'reload' | 'stop' | 'ignore';

export class Hangup {
  readonly #onTerminal = isatty(1);
  readonly #nohup = startedByNohup(process.env);
  /** the controlling terminal was there when last looked at */
  #hasTerminal = hasTerminal();

  /** To be asked once for each SIGHUP. */
  meaning(): HangupMeaning {
    if (this.#nohup) return 'ignore';
    if (this.#onTerminal) return 'stop';
    // Output went elsewhere: the hub was meant to outlive the terminal, whose end is no order.
    const lost = this.#hasTerminal && !hasTerminal();
    this.#hasTerminal &&= !lost;
    return lost ? 'ignore' : 'reload';
  }
}

/**
 * nohup(1) has SIGHUP ignored, but Node resets that before the first line of JavaScript (PlatformInit in node.cc). What
 * stays is a standard input that cannot be read, if it was a terminal, and the variable `_` of interactive shells.
 */
function startedByNohup(env: Readonly<NodeJS.ProcessEnv>): boolean {
  return basename(env['_'] ?? '') === 'nohup' || isUnreadableNull(0);
}

/** The descriptor is /dev/null, opened for writing only. */
function isUnreadableNull(fd: number): boolean {
  try {
    const { rdev } = fstatSync(fd);
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
    return rdev === makeDevice(1, 3) && (parseInt(flags, 8) & 3) === constants.O_WRONLY;
  } catch {
    return false; // no /proc
  }
}

const makeDevice = (major: number, minor: number) => (major << 8) | minor;

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY));
    return true;
  } catch {
    return false;
  }
}
