/** What `wshub --help` and `wshub COMMAND --help` print, wrapped at 100 columns. */
import { groupedSettings } from '../config/setting-groups.ts';

const width = 100;

interface Command {
  name: string;
  /** one line, for the list of commands */
  summary: string;
  /** one entry a paragraph */
  description: readonly string[];
  examples: readonly string[];
}

const commands: readonly Command[] = [
  {
    name: 'start',
    summary: 'run the hub (the default command)',
    description: [
      'Runs the hub: a primary process and one worker per CPU. The line "hub ready" is logged when all workers accept clients.',
      'SIGHUP reloads settings and handlers and moves the clients to new workers. SIGTERM and SIGINT close all clients and stop; a second one stops at once.',
      'Exit code 0: stopped. 1: the start failed. 78: a restart would fail too (PM2 in cluster mode). 130, 143: a second signal ended the stop.',
    ],
    examples: ['wshub start', 'WSHUB_PORT=9000 wshub start', 'wshub start --config /etc/wshub/wshub.json'],
  },
  {
    name: 'check-config',
    summary: 'check everything that a start would, without starting',
    description: [
      'Checks the settings, keys, admin token, API keys, runtime directory and handlers module. Takes no port and writes no file.',
      'Exit code 0: "configuration OK". 1: each problem is one line on standard error.',
    ],
    examples: [
      'wshub check-config',
      'wshub check-config --config /etc/wshub/wshub.json && systemctl reload wshub',
    ],
  },
  {
    name: 'doctor',
    summary: 'check this machine and these settings for production',
    description: [
      'Prints a line for each check: ok, skip (cannot be found out here), warn or bad, the last two with the command or setting that fixes it.',
      'Run it as the user, in the folder and with the settings of the hub.',
      'Exit code 0: nothing is bad. 1: something is.',
    ],
    examples: ['wshub doctor', 'sudo wshub doctor --config /etc/wshub/wshub.json'],
  },
  {
    name: 'top',
    summary: 'show workers, connections and rates of the running hub',
    description: [
      'Asks the ops port once a second; q quits. Without a terminal it prints once and exits.',
      'It needs the ops port and the admin token of the hub: give it the same settings.',
      'Exit code 0: quit. 1: no hub answers, or the token is wrong.',
    ],
    examples: ['wshub top', 'WSHUB_OPS_PORT=9181 wshub top', 'wshub top | head -n 3'],
  },
  {
    name: 'api-key',
    summary: 'make an API key for a back end',
    description: [
      'Prints a random key, which is stored nowhere, and its entry for the file that WSHUB_API_KEYS_FILE names. Set the name, scopes (publish, read, manage) and channels of the entry, then reload the hub.',
      'Exit code 0: printed.',
    ],
    examples: ['wshub api-key'],
  },
];

const options: readonly [option: string, meaning: string][] = [
  ['--config FILE', 'read settings from a JSON file; environment variables take precedence'],
  ['-h, --help', 'show this help; after a command, the help of that command'],
  ['--version', 'show the version'],
];

/** @param name a command; another name, or none, gives the help of the program */
export function helpText(name?: string): string {
  const command = commands.find((candidate) => candidate.name === name);
  return command ? commandHelp(command) : programHelp();
}

function commandHelp({ name, summary, description, examples }: Command): string {
  return [
    `Usage: wshub ${name} [--config FILE]`,
    '',
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    ...description.flatMap((paragraph) => ['', ...wrapped(paragraph, 0)]),
    '',
    'Options:',
    ...columns(options.slice(0, 2)),
    '',
    'Examples:',
    ...examples.map((example) => `  ${example}`),
    '',
    'wshub --help lists the settings.',
  ].join('\n');
}

function programHelp(): string {
  return [
    'wshub: a WebSocket hub for one machine',
    '',
    'Usage: wshub [COMMAND] [--config FILE]',
    '',
    'Commands:',
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    '',
    'Options:',
    ...columns(options),
    '',
    'Examples:',
    ...commands.map(({ examples }) => `  ${examples.at(-1) ?? ''}`),
    '',
    ...wrapped(
      'Settings are environment variables or, under the name in brackets, members of the JSON file. ' +
        'The environment takes precedence. Relative paths in the file start from its folder.',
      0,
    ),
    ...groupedSettings().flatMap(({ title, rows }) => [
      '',
      `${title}:`,
      ...rows.flatMap(({ env, name, help, default: value }) => [
        `  ${env} [${name}]`,
        ...wrapped(`${help} Default: ${value}.`, 6),
      ]),
    ]),
  ].join('\n');
}

/** Two columns, the first as wide as its widest cell. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  const first = Math.max(...rows.map(([cell]) => cell.length));
  return rows.map(([cell, text]) => `  ${cell.padEnd(first)}  ${text}`);
}

/** The words of a text in lines of at most `width` columns, each behind `indent` blanks. */
function wrapped(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((each) => ' '.repeat(indent) + each);
}
