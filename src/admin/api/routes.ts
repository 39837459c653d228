/**
 * The routes of Centrifugo's server API: `POST /api/<method>`, `POST /api/batch` with many commands, and `POST /api` with one
 * `{"method","params"}` per line, which cent.js sends. A command that fails is answered with 200 and an error. Only a request
 * without a valid secret or without JSON gets another status.
 */
import type { IncomingMessage } from 'node:http';
import type { Router, RouterContext } from '@koa/router';
import type { Context } from 'koa';
import type { Caller } from '../../auth/api-keys.ts';
import { readText } from '../../http/body.ts';
import type { HttpCounters } from '../../metrics/http-counters.ts';
import { HubError } from '../../platform/errors.ts';
import type { Log } from '../../platform/log.ts';
import type { Tracing } from '../../tracing/tracing.ts';
import type { Execute } from '../action.ts';
import type { BodyLimits } from '../request.ts';
import { Commands, type NamedCommand, type Reply } from './commands.ts';
import { methods, unavailableMethods } from './methods.ts';
import { elementsOf, membersOf } from './texts.ts';

export interface ApiOptions {
  /** Throws a HubError: the request has no valid secret. */
  authenticate: (ctx: Context) => Caller;
  address: (request: IncomingMessage) => string;
  settings: BodyLimits;
  perform: Execute;
  log: Log;
  counters: HttpCounters;
  tracing: Tracing;
}

/** Maximum commands of a request. */
const maxCommands = 1_000;

/** Answers the body of a request. @returns JSON text */
type Answer = (commands: Commands, body: string) => Promise<string>;

/** Adds the routes, also under `/admin`. */
export function addApiRoutes(router: Router, options: ApiOptions): void {
  const { authenticate, settings, counters, tracing } = options;
  for (const [path, answer] of answers()) {
    counters.expect('POST', path, 200);
    const handle = async (ctx: RouterContext): Promise<void> => {
      const caller = authenticated(authenticate, ctx);
      const body = await readText(ctx.req, settings.maxBatchBytes);
      const span = tracing.on ? tracing.admin('POST', path) : null;
      try {
        ctx.body = await answer(commandsOf(ctx, caller, options, span?.traceparent), body);
        ctx.type = 'json';
      } finally {
        span?.end(ctx.status);
      }
    };
    for (const spelling of [path, `/admin${path}`]) {
      router.register(spelling, ['POST'], [handle], { name: path });
    }
  }
}

function answers(): Map<string, Answer> {
  const names = [...methods.map(({ name }) => name), ...unavailableMethods];
  return new Map([
    ['/api', answerLines],
    ['/api/batch', answerBatch],
    ...names.map((name): [string, Answer] => [
      `/api/${name}`,
      async (commands, body) => textOf(await commands.execute(name, await membersOf(body))),
    ]),
  ]);
}

/** `{"commands":[{"<method>":{…}}, …],"parallel"?}` */
async function answerBatch(commands: Commands, body: string): Promise<string> {
  const batch = await membersOf(body);
  const list: NamedCommand[] = [];
  for (const text of await elementsOf(batch.get('commands') ?? '[]', maxCommands)) {
    const [[name, params] = ['', '{}']] = await membersOf(text);
    list.push({ name, params: await membersOf(params) });
  }
  const replies = await commands.executeAll(list, batch.get('parallel') === 'true');
  const texts = replies.map((reply, index) =>
    'result' in reply ? `{${JSON.stringify(list[index]?.name)}:${reply.result}}` : textOf(reply),
  );
  return `{"replies":[${texts.join(',')}]}`;
}

/** One `{"method","params"}` per line; a reply for each, in lines. */
async function answerLines(commands: Commands, body: string): Promise<string> {
  const lines = body.split('\n', maxCommands + 1).filter((line) => line.trim() !== '');
  if (lines.length > maxCommands) {
    throw new HubError('message_too_big', `a request has at most ${maxCommands} commands`);
  }
  const list: NamedCommand[] = [];
  for (const line of lines) {
    const members = await membersOf(line);
    const [, name = ''] = /^"(\w+)"$/.exec(members.get('method') ?? '') ?? [];
    list.push({ name, params: await membersOf(members.get('params') ?? '{}') });
  }
  return (await commands.executeAll(list, false)).map((reply) => textOf(reply)).join('\n');
}

function textOf(reply: Reply): string {
  return 'result' in reply ? `{"result":${reply.result}}` : JSON.stringify(reply);
}

/** A wrong secret is 401 here, as clients of this API know it. */
function authenticated(authenticate: ApiOptions['authenticate'], ctx: RouterContext): Caller {
  try {
    return authenticate(ctx);
  } catch (cause) {
    if (!(cause instanceof HubError) || cause.code !== 'forbidden') throw cause;
    throw new HubError('unauthorized', 'the admin token or API key is wrong', { cause });
  }
}

function commandsOf(
  ctx: RouterContext,
  caller: Caller,
  { settings, perform, log, counters, address }: ApiOptions,
  trace: string | undefined,
): Commands {
  return new Commands({
    caller,
    maxPayload: settings.maxPayload,
    perform: (call) => perform(call, trace),
    record: ({ name: action, audit }, target, result) => {
      counters.acted(action, result);
      const line = { action, target, key: caller.key, remoteAddress: address(ctx.req), result };
      log[audit](line, 'admin action');
    },
    failed: (error, method) => {
      log.error({ err: error, method, path: ctx.path }, 'HTTP request failed');
    },
  });
}
