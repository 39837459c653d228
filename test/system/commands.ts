/** The commands of the documentation, for tests that run them as they stand there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The blocks of commands on a page, by their names. */
export function commandBlocks(page: string): Map<string, string[]> {
  const text = readFileSync(join(root, page), 'utf8');
  const blocks = text.matchAll(/<!-- commands: ([\w-]+) -->\n\n```sh\n([^]*?)\n```/g);
  return new Map(
    [...blocks].map(([, name = '', lines = '']) => [name, lines.split('\n').map(withoutComment)]),
  );
}

/** One of the blocks. A test takes the commands that it runs out of it, and says of the others why it does not. */
export class Commands {
  readonly #page: string;
  readonly #left: string[];

  constructor(page: string, name: string) {
    const block = commandBlocks(page).get(name);
    if (!block) throw new Error(`${page} has no commands named ${name}`);
    this.#page = page;
    this.#left = [...block];
  }

  /** Returns the next command, which must begin so; without `sudo`, because the tests run as root. */
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
