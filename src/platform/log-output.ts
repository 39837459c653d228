/**
 * Writes the log to a descriptor. A write never blocks and never throws:
 *
 *   full sink (a pipe, socket or terminal that is not read)      lines are queued up to `maxWaitingBytes`, then dropped
 *   failing sink (full disk, file size limit, closed terminal)   lines are dropped
 *
 * Dropped lines are counted, and their number is logged once the sink works again. A failing disk may keep the beginning of a
 * line; the next line then starts with a newline.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';

/** Maximum size of queued lines in each process. */
const maxWaitingBytes = 1024 * 1024;
const retryMs = 50;
/** Minimum interval of reports about dropped lines. */
const reportIntervalMs = 1_000;
/** Time for a full sink at the exit of the process. */
const lastMs = 200;

/** Log lines that this process has dropped. */
export const logLines = { dropped: 0 };

interface Sink {
  fd: number;
  /** Makes the next write non-blocking; undefined: writes are non-blocking already. */
  unblock?: () => void;
}

export class LogOutput {
  readonly #sink: Sink;
  readonly #report: (dropped: number) => void;
  /** queued lines, oldest first; the beginning of the first one may be written already */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** the last write failed, possibly in the middle of a line */
  #cutOff = false;
  /** dropped lines that have not been reported */
  #unreported = 0;
  #reportedAt = -Infinity;
  /** the current line is the report itself */
  #reporting = false;
  #waitsToRetry = false;

  /** @param report logs the number of dropped lines; the loss of that line is not counted */
  constructor(fd: number, report: (dropped: number) => void) {
    this.#sink = sinkOf(fd);
    this.#report = report;
    process.on('exit', this.#last);
  }

  /** Writes the line now, or when the sink has room. */
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
    if (this.#unreported > 0) this.#unreported = dropped; // the report was lost: it is repeated later
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
 * Prepares a descriptor for non-blocking writes. Pipes and terminals are opened again, because the flag O_NONBLOCK is shared by
 * all processes that use an open file. If that is impossible (a socket, another user's pipe), the shared flag is set before each
 * write: every process started with this descriptor clears it (libuv's uv_spawn). Writes to files do not block.
 */
function sinkOf(fd: number): Sink {
  const stat = fstatSync(fd);
  if (stat.isFIFO() || isatty(fd)) {
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
      return { fd: openSync(`/proc/self/fd/${fd}`, flags) };
    } catch {
      // no /proc, no permission, or a pipe without a reader
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
      // not supported by Node
    }
  }
  return { fd };
}
