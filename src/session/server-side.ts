/**
 * The channels that the hub subscribes for a client when it connects: those of its token (`channels` of texts, `subs`), its
 * personal channel, and those that it names and may subscribe anyway.
 */
import { isChannelName } from '../channel/name.ts';
import { HubError } from '../platform/errors.ts';
import type { ConnectRequest, SubscribeRequest } from '../protocol/centrifugal/messages.ts';
import type { SessionContext } from './context.ts';
import { maySubscribeTo } from './permissions.ts';
import { CommandFailure } from './command-failure.ts';

export interface ServerSideChannel {
  /** the position that the client has */
  readonly request: Pick<SubscribeRequest, 'recover' | 'epoch' | 'offset' | 'flag'>;
  /** data about the subscription for presence, JSON */
  readonly channelInfo?: string;
  /** data for the client, JSON */
  readonly data?: Buffer;
}

const anew = { recover: false, epoch: '', offset: 0, flag: 0 };

/** @throws {CommandFailure} a channel has no valid name, or is in no namespace */
export function serverSideChannels(
  session: SessionContext,
  { subs }: ConnectRequest,
): ReadonlyMap<string, ServerSideChannel> {
  const { client, parts } = session;
  const { grant, user } = client;
  const channels = new Map<string, ServerSideChannel>();
  const add = (name: string, options: Omit<ServerSideChannel, 'request'> = {}) => {
    if (!isChannelName(name)) throw CommandFailure.disconnect('badRequest', 'a channel name is invalid');
    channels.set(name, { request: subs.get(name) ?? anew, ...options });
  };
  for (const name of grant?.serverChannels ?? []) add(name);
  for (const [name, options] of Object.entries(subsOf(grant?.claims['subs']))) add(name, options);
  if (parts.settings.personalChannel && user !== null && user !== '') add(`#${user}`);
  for (const [name] of subs) {
    if (channels.has(name) || !isChannelName(name)) continue;
    if (maySubscribeTo(session, optionsOf(session, name), name)) add(name);
  }
  return channels;
}

function optionsOf({ parts }: SessionContext, name: string) {
  try {
    return parts.hub.optionsOf(name);
  } catch (cause) {
    if (!(cause instanceof HubError)) throw cause;
    throw CommandFailure.disconnect('badRequest', 'a channel is in no namespace');
  }
}

/** The claim `subs` of Centrifugo: options by channel. */
function subsOf(claim: unknown): Record<string, Omit<ServerSideChannel, 'request'>> {
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return {};
  return Object.fromEntries(
    Object.entries(claim as Record<string, unknown>).map(([name, value]) => {
      const { info, data } = (typeof value === 'object' && value !== null ? value : {}) as {
        info?: unknown;
        data?: unknown;
      };
      return [
        name,
        {
          ...(info !== undefined && { channelInfo: JSON.stringify(info) }),
          ...(data !== undefined && { data: Buffer.from(JSON.stringify(data)) }),
        },
      ];
    }),
  );
}
