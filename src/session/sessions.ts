/** The sessions of a worker: opens them, and ends those that do not connect in time and subscriptions whose token has expired. */
import { Expiries } from '../auth/expiries.ts';
import type { Client, ClientOrigin } from '../client/client.ts';
import type { HandshakeRequest } from '../handlers/request-info.ts';
import { inSlices } from '../platform/slices.ts';
import type { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import type { Transport } from '../transport/transport.ts';
import type { SessionChannel } from './channels.ts';
import type { SessionParts, StreamAddress } from './context.ts';
import { CommandFailure } from './command-failure.ts';
import { Session, type SessionOwner } from './session.ts';

export class Sessions implements SessionOwner {
  readonly #parts: SessionParts;
  readonly #expiries = new Expiries<SessionChannel>();
  /** sessions without `connect`, with their deadlines, in the order of the deadlines */
  readonly #new = new Map<Session, number>();

  /** subscriptions with an expired token are being ended */
  #isEnding = false;

  constructor(parts: Omit<SessionParts, 'expiries'>) {
    this.#parts = { ...parts, expiries: this.#expiries };
  }

  /**
   * Creates the session of an open transport. The caller must attach the transport to its client, and to the session.
   * @param stream see SessionContext
   */
  open(
    transport: Transport,
    protocol: CentrifugalProtocol,
    origin: Pick<ClientOrigin, 'address' | 'quota'>,
    { url, headers }: HandshakeRequest,
    stream: StreamAddress | null = null,
  ): Session {
    const { clients, settings } = this.#parts;
    const client: Client = clients.openUnidentified(transport, protocol, origin);
    const session = new Session(client, protocol, { url, headers }, this.#parts, this, stream);
    client.session = session;
    this.#new.set(session, performance.now() + settings.handshakeTimeoutMs);
    return session;
  }

  /** Ends expired connections and subscriptions. Called regularly. @param now milliseconds of the monotonic clock */
  sweep(now: number): void {
    for (const [session, until] of this.#new) {
      if (until > now) break;
      this.#new.delete(session);
      session.fail(null, 0, CommandFailure.disconnect('stale'));
    }
    this.#endExpired();
  }

  #endExpired(): void {
    if (this.#isEnding) return; // many tokens expired at once
    this.#isEnding = true;
    const end = (channel: SessionChannel) => {
      channel.session.expired(channel);
    };
    void inSlices(this.#expiries.due(Date.now() / 1000), end).finally(() => {
      this.#isEnding = false;
    });
  }

  // SessionOwner

  connected(session: Session): void {
    this.#new.delete(session);
    this.#parts.dispatcher.connectedWithoutChannel(session.client, session.request);
  }

  ended(session: Session): void {
    this.#new.delete(session);
  }
}
