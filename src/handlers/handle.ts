/** The arguments of user functions: the hub and a client, each with the small interface of define.ts. */
import type { PresentMember } from '../channel/member.ts';
import { Publication, senderOf } from '../channel/publication.ts';
import type { Client } from '../client/client.ts';
import { HubError } from '../platform/errors.ts';
import type { Hub } from '../hub.ts';
import { isChannelName } from '../channel/name.ts';
import { closeText } from '../protocol/plain/close-codes.ts';
import type { Log } from '../platform/log.ts';
import { isIdempotencyKey } from '../relay/broker-link/idempotency-key.ts';
import { placement } from '../relay/broker-link/placement.ts';
import type {
  ClientContext,
  History,
  HistoryOptions,
  HubHandle,
  Position,
  PresentClient,
  PublishOptions,
  SubscribeContext,
} from './define.ts';
import { cookiesOf, headersOf, queryOf, type HandshakeRequest, type Texts } from './request-info.ts';

/** Executes commands; commands.ts implements it. */
type CommandCaller = Pick<HubHandle, 'command' | 'broadcastCommand'>;

/** How long a publication waits for its position: a broker that dies is replaced in about a second. */
const placedTimeoutMs = 3_000;
const historyPageBytes = 4 * 1024 * 1024;

export function hubHandle(hub: Hub, commands: CommandCaller): HubHandle {
  return {
    workerId: hub.workerId,
    publish: publishOf(hub),
    history: (channel, options) => readHistory(hub, channel, options),
    presence: (channel, limit) => readPresence(hub, channel, limit),
    presenceStats: async (channel) => {
      if (!isChannelName(channel)) throw new HubError('bad_channel');
      return hub.presenceStats(channel);
    },
    state: () => hub.state(),
    channels: () => hub.listChannels(),
    command: (name, payload, workerId) => commands.command(name, payload, workerId),
    broadcastCommand: (name, payload) => commands.broadcastCommand(name, payload),
  };
}

function publishOf(hub: Hub): HubHandle['publish'] {
  function publish(channel: string, value: unknown): void;
  function publish(channel: string, value: unknown, options: PublishOptions): Promise<Position | null>;
  function publish(channel: string, value: unknown, options?: PublishOptions): unknown {
    if (options !== undefined) return publishKept(hub, channel, value, options);
    if (!isChannelName(channel)) throw new HubError('bad_channel');
    hub.publish(channel, new Publication(jsonOf(value), 'handler'));
    return undefined;
  }
  return publish;
}

/** Publishes in this turn. */
async function publishKept(
  hub: Hub,
  channel: string,
  value: unknown,
  { idempotencyKey }: PublishOptions,
): Promise<Position | null> {
  if (!isChannelName(channel)) throw new HubError('bad_channel');
  if (hub.optionsOf(channel).historySize === 0)
    throw new HubError('bad_request', 'the channel has no history');
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) {
    throw new HubError('bad_request', 'idempotencyKey must have 1 to 255 bytes of UTF-8');
  }
  return placement((placed) => {
    hub.publish(channel, new Publication(jsonOf(value), 'handler'), {
      key: idempotencyKey ?? '',
      placed: ({ position }) => {
        placed(position);
      },
    });
  }, placedTimeoutMs);
}

async function readHistory(
  hub: Hub,
  channel: string,
  { since, limit = 100 }: HistoryOptions = {},
): Promise<History> {
  if (!isChannelName(channel)) throw new HubError('bad_channel');
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new RangeError(`limit must be a whole number from 1 to 1000, not ${String(limit)}`);
  }
  return new Promise((resolve, reject) => {
    const range = { since: since ?? null, limit, limitBytes: historyPageBytes, page: 'forward' } as const;
    hub.history(channel, range, (page) => {
      if (page)
        resolve({
          ...page.top,
          messages: page.publications.map(messageOf),
          truncated: page.more || !page.complete,
        });
      else reject(new HubError('unavailable', 'the broker did not answer in time; try again'));
    });
  });
}

async function readPresence(hub: Hub, channel: string, limit = 1_000) {
  if (!isChannelName(channel)) throw new HubError('bad_channel');
  if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 32 - 1) {
    throw new RangeError(`limit must be a whole number of at least 1, not ${String(limit)}`);
  }
  const { members, truncated } = await hub.presence(channel, limit);
  return { clients: members.map(presentClient), truncated };
}

/** Returns a member in the form of handlers. */
export function presentClient({ connectionId, user, info }: PresentMember): PresentClient {
  return {
    connectionId,
    ...(user === '' ? {} : { user }),
    ...(info === '' ? {} : { info: JSON.parse(info) as unknown }),
  };
}

function messageOf({ stored, payload }: Publication): History['messages'][number] {
  const sender = stored && senderOf(stored.meta);
  return {
    offset: stored?.position.offset ?? 0,
    time: Math.floor(stored?.time ?? 0),
    data: JSON.parse(payload.toString()) as unknown,
    ...(sender && { connectionId: sender.id }),
    ...(sender?.user && { user: sender.user }),
  };
}

/** The parts of a request; made when a handler reads them. */
function requestParts(request: HandshakeRequest, log: () => Log) {
  const own: { query?: Texts; headers?: Texts; cookies?: Texts; log?: Log } = {};
  return {
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
      return (own.log ??= log());
    },
  };
}

/** Adds getters without calling them. */
function withParts<T extends object, P extends object>(context: T, parts: P): T & P {
  return Object.defineProperties(context, Object.getOwnPropertyDescriptors(parts)) as T & P;
}

/** A client that wants to subscribe. */
export interface Subscriber {
  readonly channel: string;
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly address: string;
  readonly request: HandshakeRequest;
}

export function subscribeContext(
  { channel, claims, address, request }: Subscriber,
  hub: HubHandle,
  log: Log,
): SubscribeContext {
  const parts = requestParts(request, () => log.child({ channel }));
  return withParts({ channel, claims, address, hub }, parts);
}

export function clientContext(
  { client, channel }: { client: Client; channel: { name: string } },
  request: HandshakeRequest,
  hub: HubHandle,
  log: Log,
): ClientContext {
  const parts = requestParts(request, () => log.child({ connectionId: client.id, channel: channel.name }));
  const context = {
    channel: channel.name,
    address: client.remoteAddress,
    connection: {
      id: client.id,
      claims: client.grant?.claims ?? null,
      send: (value: unknown) => {
        client.send(jsonOf(value).toString());
      },
      close: (code?: number, reason = 'forbidden') => {
        if (code !== undefined && (!Number.isInteger(code) || code < 4000 || code > 4999)) {
          throw new RangeError(`the close code of a handler is 4000 to 4999, not ${String(code)}`);
        }
        if (typeof (reason as unknown) !== 'string') throw new TypeError('the reason of a close is a string');
        client.closeWith(code ?? client.protocol.closeCode('forbidden'), closeText(reason));
      },
    },
    hub,
    publish: (value: unknown) => {
      hub.publish(channel.name, value);
    },
  };
  return withParts(context, parts);
}

/** @throws {TypeError} the value has no JSON form */
export function jsonOf(value: unknown): Buffer {
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
  return Buffer.from(text);
}
