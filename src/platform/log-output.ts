/**
 * The descriptor that the log is written to. A write never blocks and never throws, whatever becomes of the sink:
 *
 *   full (a pipe, a socket or a terminal that nobody reads)   lines wait, up to `maxWaitingBytes`, then new ones are dropped
 *   failing (full disk, file size limit, closed terminal)     lines are dropped
 *
 * Dropped lines are counted; once the sink takes lines again, it is told how many are missing. What a failing disk took
 * of a line stays there, cut off; the next line begins a line of its own.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';

/** Memory for lines that wait, in each process. */
const maxWaitingBytes = 1024 * 1024;
const retryMs = 50;
/** A sink that keeps failing and recovering is not told more often about dropped lines. */
const reportIntervalMs = 1_000;
/** At the exit a sink that is full is given this long. */
const lastMs = 200;

/** What the process could not log since its start. */
export const logLines = { dropped: 0 };

interface Sink {
  fd: number;
  /** Makes the next write return instead of waiting, where that must be said before each write. */
  unblock?: () => void;
}

export class LogOutput {
  readonly #sink: Sink;
  readonly #report: (dropped: number) => void;
  /** oldest first; of the first one the beginning may be written */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** the last write failed, maybe in the middle of a line */
  #cutOff = false;
  /** dropped lines that the sink has not been told of */
  #unreported = 0;
  #reportedAt = -Infinity;
  /** the line that is being written is the report itself */
  #reporting = false;
  #waitsToRetry = false;

  /** @param report writes a line that tells how many are missing; its own loss is not counted */
  constructor(fd: number, report: (dropped: number) => void) {
    this.#sink = sinkOf(fd);
    this.#report = report;
    process.on('exit', this.#last);
  }

  /** Writes the line, now or as soon as the sink has room. */
  write(text: string): void {
    const line = Buffer.from(this.#cutOff ? `\n${text}` : text);
    const isFirst = this.#waiting.length === 0;
    if (!isFirst && this.#waitingBytes + line.length > maxWaitingBytes) {
      this.#drop(1);
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    if (isFirst) this.#flush();
  }

  #flush(): void {
    for (let line = this.#waiting[0]; line; line = this.#waiting[0]) {
      try {
        this.#sink.unblock?.();
        this.#written(line, writeSync(this.#sink.fd, line));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.#dropWaiting();
        break;
      }
    }
    const idle = this.#waiting.length === 0 && this.#unreported === 0;
    if (!idle && !this.#waitsToRetry) {
      this.#waitsToRetry = true;
      setTimeout(this.#retry, retryMs).unref();
    }
  }

  #written(line: Buffer, bytes: number): void {
    this.#cutOff = false;
    this.#waitingBytes -= bytes;
    if (bytes < line.length) this.#waiting[0] = line.subarray(bytes);
    else this.#waiting.shift();
  }

  #dropWaiting(): void {
    this.#cutOff = true;
    this.#waitingBytes = 0;
    this.#drop(this.#waiting.splice(0).length);
  }

  #drop(lines: number): void {
    this.#unreported += lines;
    if (!this.#reporting) logLines.dropped += lines;
  }

  readonly #retry = (): void => {
    this.#waitsToRetry = false;
    this.#tellDropped();
    this.#flush();
  };

  #tellDropped(): void {
    const dropped = this.#unreported;
    const now = performance.now();
    if (dropped === 0 || this.#waiting.length > 0 || now - this.#reportedAt < reportIntervalMs) return;
    this.#reportedAt = now;
    this.#unreported = 0;
    this.#reporting = true;
    this.#report(dropped);
    this.#reporting = false;
    if (this.#unreported > 0) this.#unreported = dropped; // the report was lost: it is told later
  }

  readonly #last = (): void => {
    const deadline = performance.now() + lastMs;
    this.#flush();
    while (this.#waiting.length > 0 && performance.now() < deadline) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      this.#flush();
    }
    this.#reportedAt = -Infinity;
    this.#tellDropped();
  };
}

/**
 * What can be full is written to without blocking. A pipe or a terminal is opened anew for that, because the flag
 * O_NONBLOCK belongs to all processes that share an open file. Where that cannot be (a socket, another user's pipe)
 * the shared flag is set before each write: every process that is started with this descriptor clears it (libuv's
 * uv_spawn). Files never wait for a reader.
 */
function sinkOf(fd: number): Sink {
  const stat = fstatSync(fd);
  if (stat.isFIFO() || isatty(fd)) {
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
      return { fd: openSync(`/proc/self/fd/${fd}`, flags) };
    } catch {
      // no /proc, not allowed, or a pipe without a reader
    }
  }
  if (stat.isFIFO() || stat.isSocket()) {
    try {
      const socket = new Socket({ fd, readable: false, writable: true });
      socket.on('error', () => undefined).unref();
      const { _handle: handle } = socket as Socket & {
        _handle?: { setBlocking?: (on: boolean) => void } | null;
      };
      return { fd, unblock: () => handle?.setBlocking?.(false) };
    } catch {
      // of a kind that Node does not know
    }
  }
  return { fd };
}
