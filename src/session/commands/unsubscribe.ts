/** `unsubscribe`: no publication of the channel follows the reply. A join in progress is finished, then undone. */
import type { ChannelRequest } from '../../protocol/centrifugal/messages.ts';
import type { SessionContext } from '../context.ts';
import { CommandFailure } from '../command-failure.ts';

export function unsubscribe(session: SessionContext, id: number, { channel }: ChannelRequest): undefined {
  if (channel === '') throw CommandFailure.disconnect('badRequest');
  const { channels, parts } = session;
  channels.whenSettled(channel, () => {
    const entry = channels.get(channel);
    if (entry) {
      channels.delete(entry);
      if (entry.subscription) parts.hub.unsubscribe(entry.subscription);
    }
    session.reply(id, 'unsubscribe', {});
  });
}
