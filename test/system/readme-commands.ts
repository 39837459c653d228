/** The commands of README.md, for tests that run them as they stand there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');

/** The blocks of commands in README.md, by their names. */
export function commandBlocks(): Map<string, string[]> {
  const blocks = readme.matchAll(/<!-- commands: ([\w-]+) -->\n\n```sh\n([^]*?)\n```/g);
  return new Map([...blocks].map(([, name = '', text = '']) => [name, text.split('\n').map(withoutComment)]));
}

/** One of the blocks; a test takes out what it runs, and says of the rest why it does not. */
export class Commands {
  readonly #left: string[];

  constructor(name: string) {
    const block = commandBlocks().get(name);
    if (!block) throw new Error(`README.md has no commands named ${name}`);
    this.#left = [...block];
  }

  /** The next command, which must begin so; without `sudo`, because whoever tests is root. */
  take(beginning: string): string {
    const next = this.#left.shift();
    if (next?.startsWith(beginning) !== true) {
      throw new Error(`README.md is about to say "${next ?? 'nothing'}", not "${beginning}"`);
    }
    return next.replaceAll('sudo ', '');
  }

  /** Those that no test has taken. */
  get left(): readonly string[] {
    return this.#left;
  }
}

function withoutComment(line: string): string {
  return line.replace(/ +# .*$/, '');
}
