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
import type { Command, Pong, ReplyError, ResultKind, Results } from '../protocol/centrifugal/messages.ts';
import type { TransportEvents } from '../transport/transport.ts';
import { SessionChannels, type ChannelOwner, type SessionChannel } from './channels.ts';
import { execute } from './commands.ts';
import { connect } from './commands/connect.ts';
import type { SessionContext, SessionParts, StreamAddress } from './context.ts';
import { CommandFailure } from './command-failure.ts';

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
  /** commands that arrived while the client was connecting */
  #waiting: Command[] = [];

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
    try {
      if (isBinary !== codec.isBinary) throw new DecodeError('text and binary are not the same encoding');
      for (const command of codec.decode(data)) {
        if (client.state !== 'open') return;
        if (this.parts.inbound.allow(client, command.bytes)) this.#take(command);
        else if (command.kind !== 'pong') this.#refuse(command.id, replyErrors.tooManyRequests);
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.parts.counters.messageErrors.bad_json += 1;
      this.fail(0, CommandFailure.disconnect('badRequest'));
    }
  }

  ping(client: Client, data: Buffer): void {
    this.parts.clients.ping(client, data);
  }

  pong(client: Client, data: Buffer): void {
    this.parts.clients.pong(client, data);
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
    this.fail(0, CommandFailure.disconnect('noPong'));
  }

  // ChannelOwner

  expired(entry: SessionChannel): void {
    if (entry.isServerSide) {
      this.fail(0, CommandFailure.disconnect('subscriptionExpired'));
      return;
    }
    const { subscription } = entry;
    if (!subscription) return;
    this.channels.delete(entry);
    this.parts.hub.unsubscribe(subscription);
    this.client.write(this.protocol.push(entry.name, 'unsubscribe', unsubscribes.expired));
  }

  // SessionContext

  reply<Kind extends ResultKind>(id: number, kind: Kind, result: Results[Kind]): void {
    this.client.write(this.protocol.reply(id, kind, result));
  }

  fail(id: number, error: unknown): void {
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
    this.#state = 'refused';
    this.#waiting = [];
    this.client.resume('session');
    this.fail(id, error);
  }

  #take(command: Command | Pong): void {
    if (command.kind === 'pong') return;
    if (command.kind === 'connect') {
      if (this.#state === 'new' || this.#state === 'refused') this.#connect(command);
      else this.fail(0, CommandFailure.disconnect('badRequest', 'a second connect'));
    } else if (this.#state === 'connected') {
      this.#execute(command);
    } else if (this.#state === 'connecting') {
      this.#waiting.push(command);
      this.client.pause('session');
    } else if (this.#state === 'refused') {
      this.#refuse(command.id, replyErrors.internal); // sent before the client has read the refusal
    } else {
      this.fail(0, CommandFailure.disconnect('badRequest', 'a command before connect'));
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
    const waiting = this.#waiting;
    this.#waiting = [];
    this.client.resume('session');
    for (const command of waiting) if (this.client.state === 'open') this.#take(command);
  }

  #execute(command: Exclude<Command, { kind: 'connect' }>): void {
    try {
      execute(this, command)?.catch((error: unknown) => {
        this.fail(command.id, error);
      });
    } catch (error) {
      this.fail(command.id, error);
    }
  }
}

/** The error code that the metrics count a reply error as; all others: `bad_request`. */
const countedAs: Readonly<
  Record<number, Extract<ErrorCode, 'unavailable' | 'unknown_namespace' | 'forbidden'>>
> = {
  [replyErrors.internal.code]: 'unavailable',
  [replyErrors.unknownChannel.code]: 'unknown_namespace',
  [replyErrors.permissionDenied.code]: 'forbidden',
};
