/** `presence` and `presence_stats`: the clients of a channel on all workers, whatever their protocol. */
import type { PresentMember } from '../../channel/member.ts';
import type { ChannelRequest } from '../../protocol/centrifugal/messages.ts';
import { infoOfMember } from '../../protocol/centrifugal/publication.ts';
import type { SessionContext } from '../context.ts';
import { mayRead } from '../permissions.ts';
import { CommandFailure } from '../command-failure.ts';
import { namedChannel } from './subscribe.ts';

/** Most clients of an answer. */
const maxMembers = 10_000;

export function presence(session: SessionContext, id: number, { channel }: ChannelRequest): undefined {
  read(session, 'presence', id, channel, async (hub) => {
    const { members } = await hub.presence(channel, maxMembers);
    const entries = members.map(
      (member: PresentMember) => [member.connectionId, infoOfMember(member)] as const,
    );
    session.reply(id, 'presence', { presence: new Map(entries) });
  });
}

export function presenceStats(session: SessionContext, id: number, { channel }: ChannelRequest): undefined {
  read(session, 'presence_stats', id, channel, async (hub) => {
    const { connections, users } = await hub.presenceStats(channel);
    // All clients without a user count as one, and only if there are no others it is known that there are some.
    const atLeast = connections > 0 ? 1 : 0;
    session.reply(id, 'presence_stats', { num_clients: connections, num_users: Math.max(users, atLeast) });
  });
}

type Hub = SessionContext['parts']['hub'];

/** @throws {CommandFailure} the channel has no presence */
function read(
  session: SessionContext,
  kind: 'presence' | 'presence_stats',
  id: number,
  channel: string,
  answer: (hub: Hub) => Promise<void>,
): void {
  const options = namedChannel(session, channel);
  if (!options.presence) throw CommandFailure.error('notAvailable');
  session.channels.whenSettled(channel, () => {
    const answered = mayRead(session, options, channel)
      ? session.inTurn(() => answer(session.parts.hub))
      : Promise.reject(CommandFailure.error('permissionDenied'));
    answered.catch((error: unknown) => {
      session.fail(kind, id, error);
    });
  });
}
