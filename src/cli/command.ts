/** A command of the program: its help and its function. Each is loaded when it is called. */
import { loadSettings } from './load-settings.ts';
import type { Settings } from '../config/settings.ts';

/** The values of options, by name; a repeatable option has a list. */
export type OptionValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export interface CommandSpec {
  readonly name: string;
  /** one line, for the list of commands */
  readonly summary: string;
  /** one entry a paragraph */
  readonly description: readonly string[];
  readonly examples: readonly string[];
  /** `<name>` is required, `[name]` is not */
  readonly args?: readonly (readonly [name: string, meaning: string])[];
  /** `<value>` takes a value, `<value...>` may be given several times */
  readonly options?: readonly (readonly [flags: string, meaning: string])[];
  readonly run: (context: CommandContext) => Promise<void> | void;
}

export class CommandContext {
  readonly args: readonly (string | undefined)[];
  readonly options: OptionValues;

  constructor(args: readonly (string | undefined)[], options: OptionValues) {
    this.args = args;
    this.options = options;
  }

  /** Returns a required argument. */
  arg(index: number): string {
    return this.args[index] ?? '';
  }

  /** Returns the value of an option; undefined: it was not given. */
  text(name: string): string | undefined {
    const value = this.options[name];
    return typeof value === 'string' ? value : undefined;
  }

  list(name: string): readonly string[] {
    const value = this.options[name];
    return Array.isArray(value) ? (value as readonly string[]) : [];
  }

  flag(name: string): boolean {
    return this.options[name] === true;
  }

  /** @throws {OperatorError} the file cannot be read, or a setting is not valid */
  settings(): Settings {
    return loadSettings(this.text('config'));
  }

  print(line: string): void {
    process.stdout.write(`${line}\n`);
  }
}
