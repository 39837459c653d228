/** `publish`: the same way as a message of the plain protocol, handlers included. Answered when it is stored. */
import type { Answer, Sender } from '../../handlers/dispatch.ts';
import { HubError, RefusedError } from '../../platform/errors.ts';
import type { Json } from '../../protocol/centrifugal/messages.ts';
import type { SessionContext } from '../context.ts';
import { mayPublishTo } from '../permissions.ts';
import { CommandFailure } from '../command-failure.ts';
import { namedChannel } from './subscribe.ts';

export function publish(
  session: SessionContext,
  id: number,
  { channel, data }: { readonly channel: string; readonly data: Json | null },
): undefined {
  const options = namedChannel(session, channel);
  const { channels, parts, client } = session;
  if (data === null || data.value === undefined)
    throw CommandFailure.error('badRequest', 'data must be JSON');
  if (data.bytes.length > parts.settings.maxPayload) throw new HubError('message_too_big');
  channels.whenSettled(channel, () => {
    if (!mayPublishTo(session, options, channel)) {
      session.fail('publish', id, new HubError('forbidden'));
      return;
    }
    const sender: Sender = channels.subscription(channel) ?? {
      client,
      channel: { name: channel },
      excluded: null,
    };
    parts.dispatcher.publish(sender, data.value, data.bytes, answerOf(session, id, options.historySize > 0));
  });
}

function answerOf(session: SessionContext, id: number, hasHistory: boolean): Answer {
  const reply = () => {
    session.reply(id, 'publish', {});
  };
  return {
    append: hasHistory ? { key: '', placed: reply } : null,
    accepted: (wasPublished) => {
      if (!hasHistory || !wasPublished) reply();
    },
    refused: (_client, code, message, cause) => {
      // The cause of another error may be any value, even one whose class check throws.
      const isRefusal = code === 'forbidden' && cause instanceof RefusedError;
      session.fail('publish', id, isRefusal ? cause : new HubError(code, message));
    },
  };
}
