/** What the user's functions are given: the hub and a client, each as the small interface of define.ts. */
import { Publication } from '../channel/publication.ts';
import type { Subscription } from '../client/client.ts';
import { HubError } from '../platform/errors.ts';
import type { Hub } from '../hub.ts';
import { isChannelName } from '../channel/name.ts';
import { closeCodes, closeText } from '../protocol/plain/close-codes.ts';
import type { Log } from '../platform/log.ts';
import type { ClientContext, HubHandle } from './define.ts';
import { cookiesOf, headersOf, queryOf, type HandshakeRequest, type Texts } from './request-info.ts';

/** What carries out commands; commands.ts fits. */
type CommandCaller = Pick<HubHandle, 'command' | 'broadcastCommand'>;

export function hubHandle(hub: Hub, commands: CommandCaller): HubHandle {
  return {
    workerId: hub.workerId,
    publish: (channel, value) => {
      if (!isChannelName(channel)) throw new HubError('bad_channel');
      hub.publish(channel, new Publication(jsonOf(value), 'handler'));
    },
    state: () => hub.state(),
    command: (name, payload, workerId) => commands.command(name, payload, workerId),
    broadcastCommand: (name, payload) => commands.broadcastCommand(name, payload),
  };
}

export function clientContext(
  { client, channel }: Subscription,
  request: HandshakeRequest,
  hub: HubHandle,
  log: Log,
): ClientContext {
  /** made when a handler reads it */
  const own: { query?: Texts; headers?: Texts; cookies?: Texts; log?: Log } = {};
  return {
    channel: channel.name,
    address: client.remoteAddress,
    get query() {
      return (own.query ??= queryOf(request));
    },
    get headers() {
      return (own.headers ??= headersOf(request));
    },
    get cookies() {
      return (own.cookies ??= cookiesOf(request));
    },
    get log() {
      return (own.log ??= log.child({ connectionId: client.id, channel: channel.name }));
    },
    connection: {
      id: client.id,
      claims: client.grant?.claims ?? null,
      send: (value) => {
        client.send(jsonOf(value).toString());
      },
      close: (code = closeCodes.forbidden, reason = 'forbidden') => {
        if (!Number.isInteger(code) || code < 4000 || code > 4999) {
          throw new RangeError(`the close code of a handler is 4000 to 4999, not ${String(code)}`);
        }
        if (typeof (reason as unknown) !== 'string') throw new TypeError('the reason of a close is a string');
        client.closeWith(code, closeText(reason));
      },
    },
    hub,
    publish: (value) => {
      hub.publish(channel.name, value);
    },
  };
}

/** @throws {TypeError} the value has no JSON form */
export function jsonOf(value: unknown): Buffer {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
  return Buffer.from(text);
}
