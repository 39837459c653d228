/** Subscribes the client of a session to a channel: reserves it, recovers what the client missed, and subscribes. */
import type { Channel } from '../channel/channel.ts';
import type { Subscription } from '../client/client.ts';
import type { ChannelOptions } from '../config/namespaces.ts';
import { HubError } from '../platform/errors.ts';
import { subscribeFlags } from '../protocol/centrifugal/codes.ts';
import type { SubscribeRequest, SubscribeResult } from '../protocol/centrifugal/messages.ts';
import { publicationOf } from '../protocol/centrifugal/publication.ts';
import type { SessionChannel } from './channels.ts';
import type { SessionContext } from './context.ts';
import { joinChannel, type Replay } from './join-channel.ts';
import { CommandFailure } from './command-failure.ts';

export interface JoinOptions {
  readonly isServerSide: boolean;
  /** when the token of the subscription expires, as Unix time in seconds; absent: never */
  readonly expiresAt?: number;
  /** data about the subscription for presence, JSON */
  readonly channelInfo?: string;
}

type Outcome = { readonly result: SubscribeResult } | { readonly error: unknown };

/** Most bytes that may wait for a client while it recovers another channel; more make it try again. */
const maxWaitingBytes = 16 * 1024 * 1024;

/** The part of a subscribe command that a join reads. */
export type JoinRequest = Pick<SubscribeRequest, 'recover' | 'epoch' | 'offset' | 'flag'>;

/**
 * Joins a channel that the client may subscribe. The channel may be known to the session: then its join has begun.
 * @param done called once, if the client is still open. What it writes precedes the publications of the channel.
 */
export function join(
  session: SessionContext,
  name: string,
  request: JoinRequest,
  options: JoinOptions,
  done: (outcome: Outcome) => void,
): void {
  const { client, channels, parts } = session;
  const { hub } = parts;
  const entry = channels.begin(name);
  let channelOptions: ChannelOptions;
  try {
    channelOptions = hub.optionsOf(name);
    if (!parts.fits(name)) throw new HubError('too_many_channels');
  } catch (error) {
    done({ error });
    channels.settle(entry);
    return;
  }
  const since = request.recover ? { epoch: request.epoch, offset: request.offset } : null;
  const ready = (channel: Channel<Subscription>, replay: Replay | null) => {
    const outcome = finish(session, entry, request, options, channel, replay);
    if (client.state !== 'open') return;
    done(outcome);
    if ('result' in outcome && channelOptions.joinLeave) writeOwnJoin(session, entry);
    channels.settle(entry);
  };
  const start = () =>
    new Promise<void>((resolve) => {
      joinChannel(hub, name, channelOptions, { since, history: 0 }, (channel, replay) => {
        resolve();
        ready(channel, replay);
      });
    });
  void (since ? session.inTurn(start) : start());
}

/** The client is told of its own join right after the reply. */
function writeOwnJoin({ client, protocol }: SessionContext, { name, subscription }: SessionChannel): void {
  if (subscription?.member) client.write(protocol.joined(name, subscription.member));
}

/** @param replay null: the broker has not answered in time */
function finish(
  session: SessionContext,
  entry: SessionChannel,
  request: JoinRequest,
  { isServerSide, expiresAt = Infinity, channelInfo }: JoinOptions,
  channel: Channel<Subscription>,
  replay: Replay | null,
): Outcome {
  const { client, channels, parts } = session;
  const { hub, counters } = parts;
  const mustRecover = request.recover && (request.flag & subscribeFlags.refuseUnrecovered) !== 0;
  const isRefused = mustRecover && replay?.recovered === false;
  const isTooMuch = replay?.recovered === true && client.bufferedBytes > maxWaitingBytes;
  if (client.state !== 'open' || replay === null || isRefused || isTooMuch) {
    hub.release(channel);
    return {
      error: isRefused ? CommandFailure.error('unrecoverablePosition') : new HubError('unavailable'),
    };
  }
  const before = entry.subscription;
  if (before) hub.unsubscribe(before);
  const { echo, joinLeave } = channel.options;
  const subscription = hub.subscribe(channel, client, {
    echo,
    mayPublish: true, // checked for each command
    memberEvents: joinLeave ? 'others' : 'none',
    channelInfo,
  });
  channels.joined(entry, subscription);
  channels.expire(entry, expiresAt);
  entry.isServerSide = isServerSide;
  if (replay.position !== null) {
    const { recovered } = replay;
    counters.resumes[recovered === null ? 'new' : recovered ? 'recovered' : 'unrecovered'] += 1;
  }
  return { result: resultOf(request, channel.options, replay) };
}

function resultOf(
  { recover }: JoinRequest,
  { recovery }: ChannelOptions,
  { position, recovered, publications }: Replay,
): SubscribeResult {
  if (position === null) return { was_recovering: recover };
  return {
    recoverable: recovery,
    positioned: true,
    epoch: position.epoch,
    offset: position.offset,
    was_recovering: recover,
    recovered: recovered === true,
    publications: publications.map(publicationOf),
  };
}
