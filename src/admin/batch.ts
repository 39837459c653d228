/**
 * A batch of messages, `[{ "channel" or "channels", "data", "idempotencyKey"? }, …]`, read a few milliseconds at a time:
 * a parser would hold the event loop for up to a second on 4 MiB. Each message keeps the bytes that were sent.
 */
import { covers } from '../auth/api-keys.ts';
import { isChannelName } from '../channel/name.ts';
import { HubError } from '../platform/errors.ts';
import { elements, members } from '../platform/json-parts.ts';
import { inSlices } from '../platform/slices.ts';
import { badKey, type Message } from './publish-message.ts';
import { isIdempotencyKey } from '../relay/broker-link/idempotency-key.ts';
import { channelForbidden } from './refusals.ts';

/** Maximum messages of a batch; an item counts once per channel. */
export const maxMessages = 10_000;

export interface Batch {
  /** JSON text that has not been parsed */
  body: string;
  /** maximum bytes of the data of an item */
  maxPayload: number;
  /** patterns of the channels that the caller may use */
  channels: readonly string[];
}

/** Above the bytes that a channel's name or a key can have as JSON text. */
const maxNameBytes = 4_096;
/** Stands for a value that is not parsed. */
const tooBig = Symbol('too big');

const memberNames: readonly string[] = ['channel', 'channels', 'data', 'idempotencyKey'];

/**
 * Returns the messages in order, with an error in the place of each that cannot be published.
 * @throws {HubError} as a rejection: `bad_json`, or `message_too_big` where there are too many
 */
export async function readBatch(batch: Batch): Promise<(Message | HubError)[]> {
  const read: (Message | HubError)[] = [];
  try {
    await inSlices(messagesOf(batch), (message) => {
      if (message === null) return;
      read.push(message);
      if (read.length <= maxMessages) return;
      throw new HubError('message_too_big', `a batch has at most ${maxMessages} messages`);
    });
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new HubError('bad_json', 'the body is not a JSON array in UTF-8', { cause });
  }
  return read;
}

/** Yields null within a long part, as json-parts.ts does. */
type Messages = Generator<Message | HubError | null>;

function* messagesOf(batch: Batch): Messages {
  for (const item of elements(batch.body)) {
    if (item === null) yield null;
    else yield* messagesOfItem(item, batch);
  }
}

/**
 * Returns one message per channel of the item, or one error if the item is invalid.
 * @throws {SyntaxError} invalid JSON; data too big to be published is not parsed
 */
function* messagesOfItem(item: string, { maxPayload, channels }: Batch): Messages {
  const maxParsed = Math.max(maxPayload, maxNameBytes);
  const parse = (text: string): unknown => (Buffer.byteLength(text) > maxParsed ? tooBig : JSON.parse(text));
  const texts = new Map<string, string>();
  let fault: string | undefined;
  if (!item.startsWith('{')) {
    parse(item);
    fault = 'an item is an object';
  } else {
    for (const member of members(item)) {
      if (member === null) {
        yield null;
        continue;
      }
      const [name, text] = member;
      if (!isList(name, text)) parse(text);
      if (texts.has(name)) fault = 'an item has each member once';
      texts.set(name, text);
    }
    fault ??= faultOf(texts);
  }
  if (fault !== undefined) {
    yield new HubError('bad_request', fault);
    return;
  }
  const data = texts.get('data') ?? '';
  const names = texts.get('channels');
  const refusal = Buffer.byteLength(data) > maxPayload ? new HubError('message_too_big') : null;
  const payload = Buffer.from(refusal ? '' : data);
  const key = texts.has('idempotencyKey') ? parse(texts.get('idempotencyKey') ?? '') : undefined;
  if (key !== undefined && !isIdempotencyKey(key)) {
    yield badKey('idempotencyKey');
    return;
  }
  for (const name of names === undefined ? [texts.get('channel') ?? ''] : elements(names)) {
    if (name === null) {
      yield null;
      continue;
    }
    const channel = parse(name);
    if (typeof channel !== 'string' || !isChannelName(channel)) yield new HubError('bad_channel');
    else if (!covers(channels, channel)) yield channelForbidden();
    else yield refusal ?? { channel, payload, key };
  }
}

/** Parses a list of channels element by element, because it may be long. */
function isList(name: string, text: string): boolean {
  return name === 'channels' && text.startsWith('[');
}

/** Returns the fault of an item, as a sentence. */
function faultOf(texts: ReadonlyMap<string, string>): string | undefined {
  const unknown = [...texts.keys()].find((name) => !memberNames.includes(name));
  if (unknown !== undefined) return `an item has only ${memberNames.join(', ')}`;
  if (!texts.has('data')) return 'an item needs "data"';
  const channels = texts.get('channels');
  if (texts.has('channel') === texts.has('channels')) return 'an item needs either "channel" or "channels"';
  if (channels === undefined) return undefined;
  const isFilled = isList('channels', channels) && !elements(channels).next().done;
  return isFilled ? undefined : '"channels" is a list of one or more';
}
