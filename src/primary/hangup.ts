/**
 * Tells the two meanings of SIGHUP apart: an operator asks for a reload, or the terminal from which the hub was started
 * has been closed.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { isatty } from 'node:tty';

export type HangupMeaning = 'reload' | 'stop' | 'ignore';

export class Hangup {
  readonly #onTerminal = isatty(1);
  readonly #nohup = startedByNohup(process.env);
  /** the process had a controlling terminal at the last check */
  #hasTerminal = hasTerminal();

  /** Must be called exactly once per SIGHUP. */
  meaning(): HangupMeaning {
    if (this.#nohup) return 'ignore';
    if (this.#onTerminal) return 'stop';
    // The output was redirected: the hub is meant to outlive its terminal.
    const lost = this.#hasTerminal && !hasTerminal();
    this.#hasTerminal &&= !lost;
    return lost ? 'ignore' : 'reload';
  }
}

/**
 * nohup(1) ignores SIGHUP, but Node resets that before the first line of JavaScript (PlatformInit in node.cc). Two traces
 * remain: a standard input that cannot be read, if it was a terminal, and the variable `_` of interactive shells.
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
