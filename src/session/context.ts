/** The context of a session's commands: the session, and the parts of the worker. */
import type { Expiries } from '../auth/expiries.ts';
import type { ClientTokens } from '../auth/jwt.ts';
import type { Client } from '../client/client.ts';
import type { Clients } from '../client/clients.ts';
import type { RateLimiter } from '../client/rate-limiter.ts';
import type { Settings } from '../config/settings.ts';
import type { Dispatcher } from '../handlers/dispatch.ts';
import type { HandshakeRequest } from '../handlers/request-info.ts';
import type { Hub } from '../hub.ts';
import type { Counters } from '../metrics/counters.ts';
import type { Log } from '../platform/log.ts';
import type { CentrifugalProtocol } from '../protocol/centrifugal/centrifugal-protocol.ts';
import type { CommandKind, ResultKind, Results } from '../protocol/centrifugal/messages.ts';
import type { SessionChannel, SessionChannels } from './channels.ts';

export interface SessionParts {
  readonly hub: Hub;
  readonly clients: Clients;
  readonly dispatcher: Dispatcher;
  /** null: no token key is set */
  readonly tokens: ClientTokens | null;
  readonly inbound: RateLimiter;
  readonly settings: Pick<
    Settings,
    'maxCommandBytes' | 'maxPayload' | 'maxSubscriptions' | 'pingIntervalMs' | 'handshakeTimeoutMs'
  > & {
    readonly insecure: Settings['insecure'];
    readonly personalChannel: boolean;
  };
  /** Returns whether the hub may have one more channel. */
  readonly fits: (channel: string) => boolean;
  /** channels whose subscription token ends */
  readonly expiries: Expiries<SessionChannel>;
  readonly counters: Counters;
  readonly log: Log;
}

/** Names a stream of the hub for its client, which sends it along with its messages. */
export interface StreamAddress {
  readonly session: string;
  readonly node: string;
}

export interface SessionContext {
  readonly client: Client;
  readonly protocol: CentrifugalProtocol;
  readonly request: HandshakeRequest;
  readonly channels: SessionChannels;
  readonly parts: SessionParts;
  /** where other requests bring the messages of the client; null: it has a connection of its own for them */
  readonly stream: StreamAddress | null;
  reply<Kind extends ResultKind>(id: number, kind: Kind, result: Results[Kind]): void;
  /**
   * Answers a command that has failed: with an error, or by a disconnect.
   * @param kind null: it is no command, or `connect`
   */
  fail(kind: CommandKind | null, id: number, error: unknown): void;
  /** Reads a history or members, after the reads before it. Rejects like `work`, which does not run for a closed client. */
  inTurn(work: () => Promise<void>): Promise<void>;
}

/** Executes one kind of command. Its errors are passed to `fail`. */
export type Execute<Request> = (
  session: SessionContext,
  id: number,
  request: Request,
) => Promise<void> | undefined;
