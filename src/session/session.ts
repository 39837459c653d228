/**
 * A session of the Centrifugal protocol: one client with several channels, on any transport. It takes the commands of the
 * client and keeps the state of the protocol. It promises that the reply to `connect` is the first message, that the reply to
 * a subscribe precedes the publications of the channel, and that every command but `send` is answered.
 */
import type { Client, ClientSession, Subscription } from '../client/client.ts';
import type { HandshakeRequest } from '../handlers/request-info.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import { HubError, RefusedError, type ErrorCode } from '../platform/errors.ts';
import { DecodeError } from '../protocol/centrifugal/codec.ts';
import { replyErrorOf, replyErrors, unsubscribes } from '../protocol/centrifugal/codes.ts';
import type { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import type {
  Command,
  CommandKind,
  Pong,
  ReplyError,
  ResultKind,
  Results,
} from '../protocol/centrifugal/messages.ts';
import type { TransportEvents } from '../transport/transport.ts';
import { SessionChannels, type ChannelOwner, type SessionChannel } from './channels.ts';
import { execute } from './commands.ts';
import { connect } from './commands/connect.ts';
import type { SessionContext, SessionParts, StreamAddress } from './context.ts';
import { CommandFailure } from './command-failure.ts';

type WaitingCommand = Exclude<Command, { kind: 'connect' }>;

/** Commands in progress at once: more than the subscribes of a first frame. */
const maxUnanswered = 256;
/**
 * Commands of one message over the rate limit; one more closes the client. A message may have 100 000 commands, and each
 * refusal costs as much as a command.
 */
const maxRefused = 100;
/** Commands that wait for joins before the hub stops reading. */
const maxWaiting = 64;
/** Kinds that `#unanswered` counts; handlers and the broker hold back the others. */
const counted: ReadonlySet<CommandKind> = new Set([
  'subscribe',
  'unsubscribe',
  'presence',
  'presence_stats',
  'history',
  'refresh',
  'sub_refresh',
]);

/** Called by a session; sessions.ts implements it. */
export interface SessionOwner {
  connected(session: Session): void;
  ended(session: Session): void;
}

export class Session implements SessionContext, ClientSession, ChannelOwner, TransportEvents<Client> {
  readonly client: Client;
  readonly protocol: CentrifugalProtocol;
  readonly request: HandshakeRequest;
  readonly channels: SessionChannels;
  readonly parts: SessionParts;
  readonly stream: StreamAddress | null;
  readonly #owner: SessionOwner;
  /** `refused`: the client may connect again, or leave */
  #state: 'new' | 'connecting' | 'refused' | 'connected' = 'new';
  /** commands that arrived while the client was connecting, or while too many others were not answered */
  #waiting: WaitingCommand[] = [];
  /** number of commands in progress that end in a reply, but for those that limits of their own hold back */
  #unanswered = 0;
  #isDraining = false;
  /** reads of histories and members; one at a time, because each may take some MiB */
  #reads = Promise.resolve();

  constructor(
    client: Client,
    protocol: CentrifugalProtocol,
    request: HandshakeRequest,
    parts: SessionParts,
    owner: SessionOwner,
    stream: StreamAddress | null,
  ) {
    this.client = client;
    this.protocol = protocol;
    this.request = request;
    this.parts = parts;
    this.#owner = owner;
    this.stream = stream;
    this.channels = new SessionChannels(this, parts.expiries);
  }

  /** Returns whether `connect` was answered. */
  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  // TransportEvents

  get maxPayload(): number {
    return this.parts.settings.maxCommandBytes;
  }

  message(client: Client, data: Buffer, isBinary: boolean): void {
    const { codec } = this.protocol;
    let refused = 0;
    try {
      if (isBinary !== codec.isBinary) throw new DecodeError('text and binary are not the same encoding');
      for (const command of codec.decode(data)) {
        if (client.state !== 'open') return;
        if (this.parts.inbound.allow(client, command.bytes)) {
          this.#take(command);
          continue;
        }
        if (command.kind !== 'pong') this.#refuse(command.id, replyErrors.tooManyRequests);
        refused += 1;
        if (refused === maxRefused) client.close('rate_limited');
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.parts.counters.messageErrors.bad_json += 1;
      this.fail(null, 0, CommandFailure.disconnect('badRequest'));
    }
  }

  ping(client: Client, data: Buffer): void {
    if (this.parts.inbound.allow(client, data.length)) client.pong(data);
  }

  pong(client: Client, data: Buffer): void {
    this.parts.inbound.allow(client, data.length); // as for clients of one channel
  }

  tooManyPieces(): void {
    this.parts.clients.tooManyPieces();
  }

  ended(client: Client, code: number): void {
    this.channels.clear();
    this.#waiting = [];
    this.#owner.ended(this);
    this.parts.clients.ended(client, code);
  }

  // ClientSession

  endSubscription(subscription: Subscription, reason: CloseReason): void {
    const { channels, parts, protocol, client } = this;
    const { name } = subscription.channel;
    const entry = channels.get(name);
    if (entry?.subscription !== subscription) return; // the client has ended it meanwhile
    parts.hub.unsubscribe(subscription);
    entry.subscription = null;
    if (!entry.isJoining) channels.delete(entry);
    if (reason !== 'insufficient_state')
      client.write(protocol.push(name, 'unsubscribe', unsubscribes.server));
    else if (entry.isServerSide)
      client.close(reason); // an SDK cannot subscribe to it again
    else client.write(protocol.push(name, 'unsubscribe', unsubscribes.insufficientState));
  }

  pingTimedOut(): void {
    this.fail(null, 0, CommandFailure.disconnect('noPong'));
  }

  // ChannelOwner

  expired(entry: SessionChannel): void {
    if (entry.isServerSide) {
      this.fail(null, 0, CommandFailure.disconnect('subscriptionExpired'));
      return;
    }
    const { subscription } = entry;
    if (!subscription) return;
    this.channels.delete(entry);
    this.parts.hub.unsubscribe(subscription);
    this.client.write(this.protocol.push(entry.name, 'unsubscribe', unsubscribes.expired));
  }

  channelsWait(): void {
    this.#pace();
  }

  // SessionContext

  reply<Kind extends ResultKind>(id: number, kind: Kind, result: Results[Kind]): void {
    const reply = this.protocol.reply(id, kind, result);
    if (kind === 'subscribe' && (result as Results['subscribe']).publications?.length)
      this.client.replay(reply);
    else this.client.write(reply);
    this.#answered(kind);
  }

  inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#reads.then(() => (this.client.state === 'open' ? work() : undefined));
    this.#reads = done.catch(() => undefined);
    return done;
  }

  fail(kind: CommandKind | null, id: number, error: unknown): void {
    const { client, parts } = this;
    if (error instanceof CommandFailure && error.disconnect) {
      const { code, reason, cause } = error.disconnect;
      parts.log.debug({ connectionId: client.id, code, reason }, 'client disconnected');
      client.closeWith(code, reason, cause);
    } else if (error instanceof CommandFailure && error.error) {
      this.#refuse(id, error.error);
    } else if (error instanceof RefusedError) {
      const { ownCode, message, temporary } = error;
      this.#answer(id, { code: ownCode, message, temporary }); // counted where it was thrown
    } else if (error instanceof HubError) {
      this.#refuse(id, replyErrorOf(error.code));
    } else {
      parts.log.error({ err: error, connectionId: client.id }, 'command failed');
      this.#refuse(id, replyErrors.internal);
    }
    this.#answered(kind);
  }

  /** @param kind null: no command */
  #answered(kind: CommandKind | null): void {
    if (kind === null || !counted.has(kind)) return;
    this.#unanswered -= 1;
    if (this.#waiting.length > 0 && !this.#isDraining) this.#drain();
  }

  #refuse(id: number, error: ReplyError): void {
    const { messageErrors } = this.parts.counters;
    messageErrors[countedAs[error.code] ?? 'bad_request'] += 1;
    this.#answer(id, error);
  }

  #answer(id: number, error: ReplyError): void {
    if (id > 0) this.client.write(this.protocol.replyError(id, error));
  }

  /** The server has refused `connect`: the client may try again on the same connection. */
  #connectFailed(id: number, error: unknown): void {
    if (this.protocol.codec.isUnidirectional) {
      this.fail(null, 0, error); // a disconnect takes effect, an error has no reply
      this.client.close(isExpired(error) ? 'token_expired' : 'overloaded');
      return;
    }
    this.#state = 'refused';
    this.#waiting = [];
    this.#pace();
    this.fail(null, id, error);
  }

  #take(command: Command | Pong): void {
    if (command.kind === 'pong') return;
    if (command.kind === 'connect') {
      if (this.#state === 'new' || this.#state === 'refused') this.#connect(command);
      else this.fail(null, 0, CommandFailure.disconnect('badRequest', 'a second connect'));
    } else if (
      this.#state === 'connected' &&
      this.#waiting.length === 0 &&
      this.#unanswered < maxUnanswered
    ) {
      this.#execute(command);
    } else if (this.#state === 'connected' || this.#state === 'connecting') {
      this.#waiting.push(command);
      this.#pace();
    } else if (this.#state === 'refused') {
      this.#refuse(command.id, replyErrors.internal); // sent before the client has read the refusal
    } else {
      this.fail(null, 0, CommandFailure.disconnect('badRequest', 'a command before connect'));
    }
  }

  #connect({ id, request }: Extract<Command, { kind: 'connect' }>): void {
    this.#state = 'connecting';
    try {
      const connecting = connect(this, id, request, () => {
        this.#connected();
      });
      connecting?.catch((error: unknown) => {
        this.#connectFailed(id, error);
      });
    } catch (error) {
      this.#connectFailed(id, error);
    }
  }

  #connected(): void {
    this.#state = 'connected';
    this.#owner.connected(this);
    this.#drain();
  }

  #drain(): void {
    this.#isDraining = true;
    while (this.client.state === 'open' && this.#unanswered < maxUnanswered) {
      const command = this.#waiting.shift();
      if (!command) break;
      this.#execute(command);
    }
    this.#isDraining = false;
    this.#pace();
  }

  /** Reads no more while commands wait. */
  #pace(): void {
    if (this.client.state !== 'open') return;
    if (this.#waiting.length > 0 || this.channels.waiting > maxWaiting) this.client.pause('session');
    else this.client.resume('session');
  }

  #execute(command: WaitingCommand): void {
    const { kind, id } = command;
    if (counted.has(kind)) this.#unanswered += 1;
    try {
      execute(this, command)?.catch((error: unknown) => {
        this.fail(kind, id, error);
      });
    } catch (error) {
      this.fail(kind, id, error);
    }
  }
}

function isExpired(error: unknown): boolean {
  return error instanceof CommandFailure && error.error?.code === replyErrors.tokenExpired.code;
}

/** The error code that the metrics count a reply error as; all others: `bad_request`. */
const countedAs: Readonly<
  Record<number, Extract<ErrorCode, 'unavailable' | 'unknown_namespace' | 'forbidden'>>
> = {
  [replyErrors.internal.code]: 'unavailable',
  [replyErrors.unknownChannel.code]: 'unknown_namespace',
  [replyErrors.permissionDenied.code]: 'forbidden',
};
