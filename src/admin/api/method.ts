/**
 * The interface of the methods of Centrifugo's server API: each is one file in methods/ and one row in methods.ts. A method
 * reads its parameters, performs admin actions, and translates their answers. Scopes, channels of API keys, metrics and log
 * lines are those of its action. Routes and batches are derived from the table.
 */
import { z } from 'zod';
import { covers } from '../../auth/api-keys.ts';
import { isChannelName } from '../../channel/name.ts';
import { HubError } from '../../platform/errors.ts';
import type { Action, Execute } from '../action.ts';
import { channelForbidden } from '../refusals.ts';
import { ApiError } from './errors.ts';
import type { Texts } from './texts.ts';

/** The arguments of a method besides its parameters. */
export interface MethodContext {
  /** patterns of the channels that the caller may use */
  readonly channels: readonly string[];
  /** maximum bytes of one message */
  readonly maxPayload: number;
  readonly perform: Execute;
}

/** The subject of a command in its log line. */
export interface CommandTarget {
  readonly channel?: string;
  readonly user?: string;
  readonly client?: string;
}

/** A command with valid parameters. */
export interface Command {
  readonly target: CommandTarget;
  /** @returns JSON text of the result. Rejects with an ApiError or a HubError. */
  run(context: MethodContext): Promise<string>;
}

/** A row of the table of methods. */
export interface Method {
  /** its route is `/api/<name>` */
  readonly name: string;
  /** its name in metrics and the log, and the scope that it needs */
  readonly action: Pick<Action, 'name' | 'scope' | 'byChannel' | 'audit'>;
  /** @throws {ApiError} `bad_request` */
  read(params: Texts): Command;
}

interface MethodSpec<Params> {
  name: string;
  action: Method['action'];
  /** Members that it does not name are ignored, as Centrifugo does. */
  params: z.ZodType<Params>;
  /** members that are not parsed: JSON text */
  unparsed?: readonly string[];
  /** the namespace may lack the feature: `bad_request` of the action is `not_available` */
  isOptional?: true;
  /** @returns the result; a string is JSON text */
  run(params: Params, context: MethodContext): Promise<object | string>;
}

/** Maximum characters of a member that is parsed. */
const maxParsedChars = 64 * 1024;

export function defineMethod<Params extends object>(spec: MethodSpec<Params>): Method {
  const { name, action, unparsed = [], isOptional = false } = spec;
  return {
    name,
    action,
    read: (texts) => {
      const parsed = spec.params.safeParse(valuesOf(texts, unparsed));
      if (!parsed.success) throw new ApiError('bad_request', faultOf(parsed.error));
      const params = parsed.data;
      const target = targetOf(params);
      return {
        target,
        run: async (context) => {
          if ('channel' in params) checkChannel(params.channel, context.channels);
          try {
            const result = await spec.run(params, context);
            return typeof result === 'string' ? result : JSON.stringify(result);
          } catch (cause) {
            if (!isOptional || !(cause instanceof HubError) || cause.code !== 'bad_request') throw cause;
            throw new ApiError('not_available', cause.message, { cause });
          }
        },
      };
    },
  };
}

/** A null stands for a member that is absent, as in Go. */
function valuesOf(texts: Texts, unparsed: readonly string[]): Record<string, unknown> {
  const values: [string, unknown][] = [];
  for (const [name, text] of texts) {
    if (unparsed.includes(name)) {
      values.push([name, text]);
    } else if (text.length > maxParsedChars) {
      throw new ApiError('bad_request', `${name} is too long`);
    } else {
      const value = parse(name, text);
      if (value !== null) values.push([name, value]);
    }
  }
  return Object.fromEntries(values);
}

function parse(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ApiError('bad_request', `${name} is not valid JSON`, { cause });
  }
}

function faultOf({ issues }: z.ZodError): string {
  const [issue] = issues;
  return issue ? `${issue.path.join('.')}: ${issue.message}` : 'a parameter is invalid';
}

function targetOf(params: object): CommandTarget {
  return Object.fromEntries(
    Object.entries(params).filter(
      ([name, value]) => ['channel', 'user', 'client'].includes(name) && value !== '',
    ),
  );
}

/** @throws {HubError} the channel is not valid, or the caller may not use it */
function checkChannel(channel: unknown, patterns: readonly string[]): void {
  if (typeof channel !== 'string' || !isChannelName(channel)) throw new HubError('bad_channel');
  if (!covers(patterns, channel)) throw channelForbidden();
}
