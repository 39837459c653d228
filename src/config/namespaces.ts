/**
 * Namespaces: options of channels by the part of their name before the first colon. Checks the setting `namespaces` and
 * finds the options of a channel. Enforces none of them.
 */
import { durationForm, durationMs } from './duration.ts';
import { z } from 'zod';
import { OperatorError } from '../platform/errors.ts';
import { allowedBy, boolean, integer, parseValue, type Kind } from './setting-kinds.ts';

/** One entry of the setting as the operator wrote it. */
export type NamespaceEntry = Readonly<Record<string, unknown>>;

/** The options of one channel; durations in milliseconds. */
export interface ChannelOptions {
  /** `''`: the default namespace */
  readonly namespace: string;
  /** `0`: the channel keeps no history and has no positions */
  readonly historySize: number;
  readonly historyTtlMs: number;
  readonly historyMetaTtlMs: number;
  readonly recovery: boolean;
  readonly recoveryLimitBytes: number;
  readonly presence: boolean;
  readonly joinLeave: boolean;
  readonly echo: boolean;
  /** `null`: all may publish while no token key is set; with a key, as the client's token says */
  readonly clientPublish: boolean | null;
  readonly userLimited: boolean;
}

interface Option extends Kind<unknown> {
  /** the value of an entry that does not set the option, in words */
  default: string;
  /** one sentence, with the unit */
  help: string;
}

const day = 86_400_000;

/** Whole milliseconds, or a whole number with a unit. */
function duration(maxDays: number): Kind<unknown> {
  const text = z.string().regex(durationForm);
  const ms = text.transform(durationMs);
  const range = z
    .int()
    .min(0)
    .max(maxDays * day);
  return {
    schema: z
      .union([z.int(), ms])
      .pipe(range)
      .describe(`whole milliseconds, or like 300s, 5m, 1h, 30d, at most ${maxDays}d`),
  };
}

const defaultMetaTtlMs = 30 * day;
const defaultRecoveryLimitBytes = 4 * 1024 * 1024;

/** The options of a namespace, in the order of docs/namespaces.md. */
export const namespaceOptions = {
  historySize: {
    ...integer(0, 100_000),
    default: '0',
    help: 'Publications kept per channel. With `historyTtl`, the channel has positions.',
  },
  historyTtl: {
    ...duration(3_650),
    default: '0',
    help: 'How long each publication is kept, from its own time.',
  },
  historyMetaTtl: {
    ...duration(3_650),
    default: '30d',
    help: 'How long a quiet channel keeps its epoch and offset after its last use; at least `historyTtl`.',
  },
  recovery: { ...boolean, default: 'true where history is on', help: 'Clients may resume.' },
  recoveryLimit: {
    ...integer(1, 16 * 1024 * 1024),
    default: 'all that is kept, at most 4 MiB',
    help: 'Bytes that one resume may return; a client that missed more gets `recovered: false`.',
  },
  presence: { ...boolean, default: 'false', help: 'The clients of a channel can be listed.' },
  joinLeave: { ...boolean, default: 'false', help: 'Subscribers are told of joins and leaves.' },
  echo: {
    ...boolean,
    default: 'true',
    help: 'Senders get their own messages back; `?echo=` of the plain protocol overrides it.',
  },
  clientPublish: {
    ...boolean,
    default: 'true without a token key, else as the token says',
    help: '`true`: all clients may publish; `false`: none may.',
  },
  userLimited: {
    ...boolean,
    default: 'false',
    help: '`name#42,43` is for the listed users only; `$name` needs a token of its own.',
  },
} as const satisfies Record<string, Option>;

type OptionName = keyof typeof namespaceOptions;

const namePattern = /^[\w.-]{1,64}$/;

/** The setting's kind: its entries are checked one by one by `Namespaces.from`, which names what is wrong. */
export const namespaceEntries: Kind<readonly NamespaceEntry[]> = {
  schema: z
    .codec(z.string(), z.array(z.record(z.string(), z.unknown())), {
      decode: (text, { issues }) => {
        try {
          return JSON.parse(text) as NamespaceEntry[];
        } catch {
          issues.push({ code: 'invalid_format', format: 'json', input: text });
          return z.NEVER;
        }
      },
      encode: (entries) => JSON.stringify(entries),
    })
    .describe('a JSON list of objects like {"name": "chat", "echo": false}'),
};

/** The settings that this file reads. */
export interface NamespaceSettings {
  readonly namespaces: readonly NamespaceEntry[];
  readonly strictNamespaces: boolean;
  /** absent: false */
  readonly personalChannel?: boolean;
}

export class Namespaces {
  /** the options of all namespaces, the default one included */
  readonly all: readonly ChannelOptions[];
  readonly #default: ChannelOptions;
  /** options of a channel whose prefix is not declared; `null`: there is no such channel */
  readonly #undeclared: ChannelOptions | null;
  /** declared namespaces by the length of their names, so that a lookup makes no string */
  readonly #byLength: ChannelOptions[][] = [];
  /** some namespace has history, presence or joinLeave: the hub needs a broker */
  readonly needBroker: boolean;

  /** @throws {OperatorError} one line that names the namespace, the option and what is allowed */
  static from({ namespaces, strictNamespaces, personalChannel = false }: NamespaceSettings): Namespaces {
    const all = namespaces.map((entry) => optionsOf(entry));
    for (const [index, { namespace }] of all.entries()) {
      if (all.findIndex((other) => other.namespace === namespace) !== index) {
        throw new OperatorError(`${labelOf(namespace)} is declared twice in WSHUB_NAMESPACES`);
      }
    }
    const made = new Namespaces(all, strictNamespaces);
    if (personalChannel && !made.#default.userLimited) {
      throw new OperatorError(
        'WSHUB_PERSONAL_CHANNEL needs userLimited in the default namespace, so that no other client subscribes to #<user>',
      );
    }
    return made;
  }

  private constructor(all: readonly ChannelOptions[], strict: boolean) {
    this.#default = all.find(({ namespace }) => namespace === '') ?? defaultChannelOptions;
    this.#undeclared = strict ? null : this.#default;
    for (const options of all) (this.#byLength[options.namespace.length] ??= []).push(options);
    this.all = [this.#default, ...all.filter((one) => one !== this.#default)];
    this.needBroker = this.all.some((one) => one.historySize > 0 || hasMembers(one));
  }

  /** Returns the options of a channel; `null`: namespaces are strict and its prefix is not declared. */
  of(channel: string): ChannelOptions | null {
    const start = channel.startsWith('$') ? 1 : 0;
    const end = channel.indexOf(':', start);
    if (end <= start) return this.#default;
    for (const options of this.#byLength[end - start] ?? []) {
      if (channel.startsWith(options.namespace, start)) return options;
    }
    return this.#undeclared;
  }
}

/** Whether the broker knows the members of the channel. */
export function hasMembers({ presence, joinLeave }: ChannelOptions): boolean {
  return presence || joinLeave;
}

/** @throws {OperatorError} the entry is not valid */
function optionsOf(entry: NamespaceEntry): ChannelOptions {
  const { name = '', ...given } = entry;
  if (typeof name !== 'string' || (name !== '' && !namePattern.test(name))) {
    throw new OperatorError(
      `WSHUB_NAMESPACES: the name ${JSON.stringify(name)} is not allowed, it must be 1 to 64 letters, digits, "-", "_" or "."; "" is the default namespace`,
    );
  }
  const label = labelOf(name);
  const values: Partial<Record<OptionName, unknown>> = {};
  for (const [option, value] of Object.entries(given))
    values[option as OptionName] = checked(option, value, label);
  const read = <T>(option: OptionName, fallback: T) => (values[option] ?? fallback) as T;
  const historySize = read<number>('historySize', 0);
  const historyTtlMs = read<number>('historyTtl', 0);
  const options: ChannelOptions = {
    namespace: name,
    historySize,
    historyTtlMs,
    historyMetaTtlMs: read('historyMetaTtl', Math.max(defaultMetaTtlMs, historyTtlMs)),
    recovery: read('recovery', historySize > 0),
    recoveryLimitBytes: read('recoveryLimit', defaultRecoveryLimitBytes),
    presence: read('presence', false),
    joinLeave: read('joinLeave', false),
    echo: read('echo', true),
    clientPublish: read('clientPublish', null),
    userLimited: read('userLimited', false),
  };
  refuseContradictions(options, values, label);
  return options;
}

function labelOf(name: string): string {
  return name === '' ? 'the default namespace' : `namespace "${name}"`;
}

/** @throws {OperatorError} the option is unknown or its value is not allowed */
function checked(option: string, value: unknown, label: string): unknown {
  if (!Object.hasOwn(namespaceOptions, option)) {
    throw new OperatorError(
      `${label}: ${option} is not an option; the options are ${Object.keys(namespaceOptions).join(', ')}`,
    );
  }
  const kind = namespaceOptions[option as OptionName];
  const parsed = parseValue(kind, value);
  if (parsed.success) return parsed.data;
  throw new OperatorError(
    `${label}: ${option} ${JSON.stringify(value)} is not allowed, it must be ${allowedBy(kind)}`,
  );
}

/** Options that are valid each by itself and not together. */
function refuseContradictions(
  options: ChannelOptions,
  values: Partial<Record<OptionName, unknown>>,
  label: string,
): void {
  const { historySize, historyTtlMs, historyMetaTtlMs, recovery } = options;
  const refuse = (why: string) => new OperatorError(`${label}: ${why}`);
  if (historySize > 0 && historyTtlMs === 0) throw refuse('historySize needs a historyTtl');
  if (historyTtlMs > 0 && historySize === 0) throw refuse('historyTtl needs a historySize');
  if (historySize === 0) {
    if (recovery) throw refuse('recovery needs historySize and historyTtl');
    const idle = (['recoveryLimit', 'historyMetaTtl'] as const).find(
      (option) => values[option] !== undefined,
    );
    if (idle !== undefined) throw refuse(`${idle} needs historySize and historyTtl`);
  }
  if (!recovery && values.recoveryLimit !== undefined)
    throw refuse('recoveryLimit is set and recovery is false');
  if (historySize > 0 && historyMetaTtlMs < historyTtlMs) {
    throw refuse('historyMetaTtl is less than historyTtl');
  }
}

/** The options of a channel where no namespace is declared. */
export const defaultChannelOptions: ChannelOptions = optionsOf({});
