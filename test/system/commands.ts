/** The commands of the documentation, for tests that run them as printed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** Returns the blocks of commands on a page, by their names. */
export function commandBlocks(page: string): Map<string, string[]> {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = text.matchAll(/<!-- commands: ([\w-]+) -->\n\n *```sh\n([^]*?)\n *```/g); // also within lists
  return new Map(
    [...blocks].map(([, name = '', lines = '']) => [
      name,
      lines.split('\n').map((line) => withoutComment(line.trim())),
    ]),
  );
}

/** One block of commands. A test takes each command that it runs, and asserts that none is left. */
export class Commands {
  readonly #page: string;
  readonly #left: string[];

  constructor(page: string, name: string) {
    const block = commandBlocks(page).get(name);
    if (!block) throw new Error(`${page} has no commands named ${name}`);
    this.#page = page;
    this.#left = [...block];
  }

  /** Returns the next command, which must have this beginning; without `sudo`, because the tests run as root. */
  take(beginning: string): string {
    const next = this.#left.shift();
    if (next?.startsWith(beginning) !== true) {
      throw new Error(`the next command of ${this.#page} is "${next ?? 'none'}", not "${beginning}"`);
    }
    return next.replaceAll('sudo ', '');
  }

  /** The commands that no test has taken. */
  get left(): readonly string[] {
    return this.#left;
  }
}

function withoutComment(line: string): string {
  return line.replace(/ +# .*$/, '');
}
