/** Publications as messages of the protocol. */
import { senderOf, type Publication, type SenderInfo } from '../../channel/publication.ts';
import type { PresentMember } from '../../channel/member.ts';
import type { ClientInfo, WirePublication } from './messages.ts';

/** A publication of a channel with history has an offset, and `info` if a client sent it. */
export function publicationOf({ payload, stored }: Publication): WirePublication {
  const sender = stored === null ? null : senderOf(stored.meta);
  return {
    data: payload,
    info: sender === null ? undefined : infoOf(sender),
    offset: stored?.position.offset,
  };
}

function infoOf({ id, user }: SenderInfo): ClientInfo {
  return { user: user ?? '', client: id };
}

export function infoOfMember({ connectionId, user, info, channelInfo }: PresentMember): ClientInfo {
  return {
    user,
    client: connectionId,
    ...(info !== '' && { conn_info: Buffer.from(info) }),
    ...(channelInfo !== '' && { chan_info: Buffer.from(channelInfo) }),
  };
}
