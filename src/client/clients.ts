/**
 * The clients of a worker from the moment they are open: their limits, pings, token expiry and end. Messages of
 * clients go to the receiver of their protocol. The hub manages their subscriptions.
 */
import { Expiries } from '../auth/expiries.ts';
import type { Grant } from '../auth/grant.ts';
import type { Settings } from '../config/settings.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Log } from '../platform/log.ts';
import { inSlices } from '../platform/slices.ts';
import type { Protocol } from '../protocol/protocol.ts';
import type { Transport, TransportEvents } from '../transport/transport.ts';
import { ClientRegistry } from './client-registry.ts';
import { Heartbeat } from './heartbeat.ts';
import { Client, type AddressQuota, type ClientOrigin, type ClientOwner } from './client.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { SlowConsumers, type OutboxLimits } from './slow-consumers.ts';

/** Receives the messages of clients; one for each protocol. */
export interface Receiver {
  message(client: Client, data: Buffer, isBinary: boolean): void;
  /** The client has disconnected. */
  disconnected(client: Client): void;
}

/** The part of the hub that is used here. */
export type Subscriptions = Pick<ClientOwner, 'releaseLater' | 'catchUp' | 'unsubscribeAll'>;

export interface ClientsOptions {
  limits: OutboxLimits & Pick<Settings, 'maxPayload'>;
  subscriptions: Subscriptions;
  receiver: Receiver;
  inbound: RateLimiter;
  /** Releases the quota of a client that has disconnected. */
  leave: (quota: AddressQuota) => void;
  counters: Counters;
  log: Log;
}

export class Clients implements ClientOwner, TransportEvents<Client> {
  readonly registry = new ClientRegistry<Client>();
  readonly heartbeat = new Heartbeat<Client>();
  readonly outboxSoftBytes: number;
  readonly maxPayload: number;
  readonly slowConsumers: SlowConsumers<Client>;
  readonly #options: ClientsOptions;
  readonly #expiries = new Expiries<Client>();
  /** clients with an expired token are being closed */
  #closingExpired = false;

  constructor(options: ClientsOptions) {
    const { limits } = options;
    this.#options = options;
    this.maxPayload = limits.maxPayload;
    this.outboxSoftBytes = Math.min(limits.outboxSoftBytes, limits.outboxMaxBytes);
    this.slowConsumers = new SlowConsumers({ ...limits, outboxSoftBytes: this.outboxSoftBytes });
  }

  /**
   * Creates the client of an open transport. The caller must attach the transport to the client and to these events.
   */
  open(transport: Transport, protocol: Protocol, origin: ClientOrigin): Client {
    const client = this.#admit(transport, protocol, origin);
    if (client.grant) this.#expire(client, client.grant.expiresAt);
    this.heartbeat.add(client);
    return client;
  }

  /** Creates the client of an open transport whose token comes later: `identify` must follow. */
  openUnidentified(
    transport: Transport,
    protocol: Protocol,
    origin: Pick<ClientOrigin, 'address' | 'quota'>,
  ): Client {
    return this.#admit(transport, protocol, { ...origin, grant: null });
  }

  #admit(transport: Transport, protocol: Protocol, origin: ClientOrigin): Client {
    const client = new Client(transport, protocol, this, origin);
    this.registry.add(client);
    this.#options.counters.opened += 1;
    return client;
  }

  /** Sets the grant of a client whose token has been verified, and begins to ping it. */
  identify(client: Client, grant: Grant | null, expiresAt: number): void {
    this.registry.delete(client);
    client.grant = grant;
    this.registry.add(client);
    this.#expire(client, expiresAt);
    this.heartbeat.add(client);
  }

  /** Replaces the grant of a client by a later one of the same user. */
  renew(client: Client, grant: Grant | null, expiresAt: number): void {
    this.#expiries.delete(client, client.expiresAt);
    client.grant = grant;
    this.#expire(client, expiresAt);
  }

  #expire(client: Client, expiresAt: number): void {
    client.expiresAt = expiresAt;
    this.#expiries.add(client, expiresAt);
  }

  /**
   * Closes expired and slow clients. Called regularly.
   * @param now milliseconds of the monotonic clock
   */
  sweep(now: number): void {
    this.#closeExpired();
    this.slowConsumers.sweep(now);
  }

  #closeExpired(): void {
    if (this.#closingExpired) return; // many tokens expired at once
    this.#closingExpired = true;
    const due = this.#expiries.due(Date.now() / 1000);
    const close = (client: Client) => {
      client.close('token_expired');
    };
    void inSlices(due, close).finally(() => {
      this.#closingExpired = false;
    });
  }

  // TransportEvents

  message(client: Client, data: Buffer, isBinary: boolean): void {
    const { inbound, receiver } = this.#options;
    if (inbound.allow(client, data.length)) receiver.message(client, data, isBinary);
  }

  ping(client: Client, data: Buffer): void {
    if (this.#options.inbound.allow(client, data.length)) client.pong(data);
  }

  pong(client: Client, data: Buffer): void {
    this.#options.inbound.allow(client, data.length); // pongs need no answer, but cost as much to read
  }

  tooManyPieces(): void {
    this.#options.counters.messageErrors.too_many_pieces += 1;
  }

  ended(client: Client, code: number): void {
    const { counters, leave, receiver, log } = this.#options;
    this.registry.delete(client);
    this.heartbeat.delete(client);
    counters.closed[client.disconnectCause] += 1;
    if (client.disconnectCause === 'message_too_big') counters.messageErrors.message_too_big += 1;
    if (client.quota) leave(client.quota);
    this.#expiries.delete(client, client.expiresAt);
    receiver.disconnected(client);
    const { id: connectionId, disconnectCause: reason, grant, since } = client;
    const line = { connectionId, code, reason, user: grant?.claims['sub'], durationMs: Date.now() - since };
    log.debug(line, 'connection closed');
  }

  // ClientOwner

  slow(client: Client): void {
    if (client.state === 'open') this.slowConsumers.report(client, performance.now());
  }

  skipped(publications: number): void {
    this.#options.counters.dropped.slow_consumer += publications;
  }

  releaseLater(client: Client): void {
    this.#options.subscriptions.releaseLater(client);
  }

  catchUp(client: Client): void {
    this.#options.subscriptions.catchUp(client);
  }

  unsubscribeAll(client: Client): void {
    this.slowConsumers.forget(client);
    this.#options.subscriptions.unsubscribeAll(client);
  }
}
