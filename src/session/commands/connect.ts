/** `connect`: the first command of a session. Its reply is the first message to the client. */
import type { Grant } from '../../auth/grant.ts';
import { HubError } from '../../platform/errors.ts';
import { version } from '../../platform/version.ts';
import type { ConnectRequest, SubscribeResult } from '../../protocol/centrifugal/messages.ts';
import { expiryGraceSeconds } from '../channels.ts';
import type { SessionContext } from '../context.ts';
import { join } from '../session-join.ts';
import { CommandFailure } from '../command-failure.ts';
import { serverSideChannels } from '../server-side.ts';
import { expiryOf, verifyConnection } from '../tokens.ts';
import { askHandler } from './subscribe.ts';

export const hubVersion = `wshub ${version}`;

/**
 * Identifies the client and subscribes its server-side channels.
 * @param done called when the reply has been written
 */
export function connect(
  session: SessionContext,
  id: number,
  request: ConnectRequest,
  done: () => void,
): Promise<void> | undefined {
  const { tokens, settings } = session.parts;
  const { token } = request;
  const isInsecure = settings.insecure !== 'false';
  if (tokens === null || (token === '' && isInsecure)) {
    accept(session, id, request, null, Infinity, done);
    return undefined;
  }
  if (token === '') throw CommandFailure.disconnect('badRequest', 'a token is required');
  return verifyConnection(tokens, token).then(({ grant, expiresAt }) => {
    accept(session, id, request, grant, isInsecure ? Infinity : expiresAt, done);
  });
}

function accept(
  session: SessionContext,
  id: number,
  request: ConnectRequest,
  grant: Grant | null,
  expiresAt: number,
  done: () => void,
): void {
  const { client, parts } = session;
  if (client.state !== 'open') return;
  parts.clients.identify(client, grant, expiresAt + expiryGraceSeconds);
  const channels = serverSideChannels(session, request);
  if (channels.size > parts.settings.maxSubscriptions) throw CommandFailure.disconnect('channelLimit');
  const finish = (subs: ReadonlyMap<string, SubscribeResult>) => {
    const result = {
      client: client.id,
      version: hubVersion,
      ...expiryOf(expiresAt),
      subs,
      ...(session.protocol.ping
        ? { ping: Math.ceil(parts.settings.pingIntervalMs / 1000), pong: true }
        : { ping: 0, pong: false }),
      ...session.stream,
    };
    const reply = session.protocol.reply(id, 'connect', result);
    if (channels.size > 0) client.ungate(reply);
    else client.write(reply);
    done();
  };
  const subs = new Map<string, SubscribeResult>();
  if (channels.size === 0) {
    finish(subs);
    return;
  }
  client.gate();
  let left = channels.size;
  let failure: unknown = null;
  const settle = () => {
    left -= 1;
    if (left > 0 || client.state !== 'open') return;
    if (failure === null) finish(subs);
    else if (failure instanceof HubError && failure.code !== 'unknown_namespace') client.close('overloaded');
    else session.fail(null, id, CommandFailure.disconnect('badRequest', 'a channel is in no namespace'));
  };
  for (const [name, channel] of channels) {
    const subscribe = () => {
      join(session, name, channel.request, { ...channel, isServerSide: true }, (outcome) => {
        if ('error' in outcome) failure ??= outcome.error;
        else subs.set(name, { ...outcome.result, ...(channel.data && { data: channel.data }) });
        settle();
      });
    };
    const asked = askHandler(session, name);
    if (asked)
      asked.then(subscribe, settle); // a channel that the handler refuses is left out
    else subscribe();
  }
}
