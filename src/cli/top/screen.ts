/**
 * The terminal of a live view, on the alternate screen: the shell's screen is restored at the end. Lines that do not fit
 * are cut, never wrapped. `q` and Ctrl-C quit.
 */
import type { ReadStream, WriteStream } from 'node:tty';

const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';
const home = '\x1b[H';
const clearToLineEnd = '\x1b[K';
const clearBelow = '\x1b[J';
const ctrlC = '\x03';

export class Screen {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  #lines: readonly string[] = [];
  /** resolves when the user quits */
  readonly left: Promise<undefined>;

  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#output = output;
    output.write(enter);
    output.on('resize', this.#draw);
    this.left = new Promise((resolve) => {
      const end = () => {
        resolve(undefined);
      };
      process.once('SIGINT', end).once('SIGTERM', end);
      if (!input.isTTY) return;
      input.setRawMode(true).on('data', (keys: Buffer) => {
        if (/[qQ]/.test(keys.toString()) || keys.includes(ctrlC)) end();
      });
    });
  }

  show(lines: readonly string[]): void {
    this.#lines = lines;
    this.#draw();
  }

  close(): void {
    this.#output.off('resize', this.#draw);
    this.#output.write(leave);
    if (this.#input.isTTY) this.#input.setRawMode(false);
    this.#input.destroy();
  }

  readonly #draw = (): void => {
    const { columns, rows } = this.#output;
    const lines = this.#lines.slice(0, rows).map((line) => line.slice(0, columns) + clearToLineEnd);
    // Overwrites the old content: clearing it first would flicker.
    this.#output.write(home + lines.join('\r\n') + clearBelow);
  };
}
