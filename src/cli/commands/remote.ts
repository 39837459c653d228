/** The commands that ask the running hub. They need its ops port and admin token: give them the settings of the hub. */
import { OperatorError } from '../../platform/errors.ts';
import { printable } from '../../platform/printable.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { OpsClient } from '../remote/ops-client.ts';

const access = 'It needs the ops port and the admin token of the hub: give it the same settings.';
const exitCodes = 'Exit code 0: done. 1: the hub refuses, or no hub answers.';
const json = ['--json', 'print JSON, one object a line'] as const;
const channelArgument = ['<channel>', 'name of the channel'] as const;

function client(context: CommandContext): OpsClient {
  return new OpsClient(context.settings());
}

function channelPath(channel: string): string {
  return `/channels/${encodeURIComponent(channel)}`;
}

interface Positioned {
  epoch?: string;
  offset?: number;
}

function positionOf({ epoch, offset }: Positioned): string {
  return epoch === undefined ? '' : ` at ${epoch}:${offset}`;
}

export const remoteCommands: readonly CommandSpec[] = [
  {
    name: 'publish',
    summary: 'publish a message to a channel',
    description: [
      'Publishes JSON. Without data it reads the message from standard input.',
      access,
      exitCodes,
    ],
    args: [channelArgument, ['[data]', 'the message, as JSON']],
    options: [
      ['--text', 'take the data as text instead of JSON'],
      ['--idempotency-key <key>', 'store the message once in five minutes (channels with history)'],
    ],
    examples: [`wshub publish news '{"title":"hello"}'`, 'wshub publish news hello --text'],
    async run(context) {
      const data = context.args[1] ?? (await standardInput());
      const body = context.flag('text') ? JSON.stringify(data) : data;
      const key = context.text('idempotencyKey');
      const headers = key === undefined ? {} : { 'idempotency-key': key };
      const channel = context.arg(0);
      const path = `${channelPath(channel)}/messages`;
      const answer = await client(context).json<Positioned>('POST', path, body, headers);
      context.print(`published to ${printable(channel)}${positionOf(answer)}`);
    },
  },
  {
    name: 'tail',
    summary: 'print the messages of a channel as they arrive',
    description: [
      'Connects as a client, prints each message as one line, and connects again when the connection is lost. On a channel with history it then gets what it missed, or says that messages are missing.',
      'Exit code 0: ended by Ctrl-C. 1: the hub refuses or has closed the connection for good.',
    ],
    args: [channelArgument],
    options: [
      ['--history <n>', 'begin with the last n messages (channels with history)'],
      ['--token <token>', 'token of a client, if the hub has a key'],
      ['--json', 'print the envelope with position and sender'],
    ],
    examples: ['wshub tail news', 'wshub tail news --history 10', 'wshub tail news --json | jq .data'],
    async run(context) {
      const { tail } = await import('../remote/tail.ts');
      await tail(context.settings(), {
        channel: context.arg(0),
        history: context.text('history'),
        token: context.text('token'),
        isRaw: context.flag('json'),
      });
    },
  },
  {
    name: 'channels',
    summary: 'list the channels with their number of connections',
    description: ['Lists the channels of the whole hub by name.', access, exitCodes],
    args: [['[prefix]', 'only channels whose name begins with this']],
    options: [json],
    examples: ['wshub channels', 'wshub channels news:', 'wshub channels --json'],
    async run(context) {
      const query = new URLSearchParams({ prefix: context.args[0] ?? '' });
      const list = client(context).pages<{ channel: string; connections: number }>(
        `/channels?${query.toString()}`,
        'channels',
      );
      for await (const item of list) {
        if (context.flag('json')) context.print(JSON.stringify(item));
        else context.print(`${String(item.connections).padStart(8)}  ${printable(item.channel)}`);
      }
    },
  },
  {
    name: 'presence',
    summary: 'list the clients of a channel',
    description: [
      'Lists the clients of a channel whose namespace has the option presence.',
      access,
      exitCodes,
    ],
    args: [channelArgument],
    options: [json],
    examples: ['wshub presence room:1'],
    async run(context) {
      const path = `${channelPath(context.arg(0))}/presence`;
      const list = client(context).pages<{ connectionId: string; user?: string; info?: unknown }>(
        path,
        'clients',
      );
      for await (const item of list) {
        const { connectionId, user = '-', info } = item;
        const line = `${connectionId}  ${user}  ${info === undefined ? '' : JSON.stringify(info)}`.trimEnd();
        context.print(context.flag('json') ? JSON.stringify(item) : printable(line));
      }
    },
  },
  {
    name: 'history',
    summary: 'print the kept messages of a channel',
    description: ['Prints the oldest message first, or with --reverse the newest.', access, exitCodes],
    args: [channelArgument],
    options: [
      ['--limit <n>', 'number of messages, at most 1000 (default: 100)'],
      ['--since <position>', 'only messages after this position, epoch:offset'],
      ['--reverse', 'the newest message first'],
      json,
    ],
    examples: ['wshub history news', 'wshub history news --reverse --limit 1'],
    async run(context) {
      const query = new URLSearchParams();
      for (const name of ['limit', 'since'] as const) {
        const value = context.text(name);
        if (value !== undefined) query.set(name, value);
      }
      if (context.flag('reverse')) query.set('reverse', 'true');
      const path = `${channelPath(context.arg(0))}/history?${query.toString()}`;
      const page = await client(context).json<HistoryAnswer>('GET', path);
      for (const message of page.messages) {
        const line = `${message.offset}  ${new Date(message.time).toISOString()}  ${JSON.stringify(message.data)}`;
        context.print(context.flag('json') ? JSON.stringify(message) : printable(line));
      }
      if (page.truncated)
        process.stderr.write(`wshub: more messages are kept; the position is ${page.epoch}:${page.offset}\n`);
    },
  },
  {
    name: 'kill',
    summary: 'close a connection, all of a user, or a channel',
    description: ['Closes connections for good: clients do not come back by themselves.', access, exitCodes],
    args: [
      ['<what>', 'connection, user or channel'],
      ['<name>', 'id of the connection, name of the user or channel'],
    ],
    examples: [
      'wshub kill connection dgrr8KYiLmyt6dnWm-6Yag',
      'wshub kill user anna',
      'wshub kill channel room:1',
    ],
    async run(context) {
      const [what, name] = [context.arg(0), context.arg(1)];
      const root = { connection: 'connections', user: 'users', channel: 'channels' }[what];
      if (root === undefined)
        throw new OperatorError(`kill ${what} is not allowed, it must be connection, user or channel`);
      const { closed = 1 } = await client(context).json<{ closed?: number }>(
        'DELETE',
        `/${root}/${encodeURIComponent(name)}`,
      );
      context.print(`closed ${closed} ${closed === 1 ? 'connection' : 'connections'}`);
    },
  },
  {
    name: 'reload',
    summary: 'reload settings and handlers of the running hub',
    description: [
      'Does what SIGHUP does: new workers start, and the clients of the old ones move to them.',
      access,
      exitCodes,
    ],
    examples: ['wshub reload', 'wshub check-config && wshub reload'],
    async run(context) {
      const { reload } = await client(context).json<{ reload: string }>('POST', '/reload');
      context.print(`reload ${reload}`);
    },
  },
];

interface HistoryAnswer {
  epoch: string;
  offset: number;
  messages: { offset: number; time: number; data: unknown }[];
  truncated: boolean;
}

async function standardInput(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString().trimEnd();
}
