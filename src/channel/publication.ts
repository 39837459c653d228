/** One publication, from its publisher to the fan-out and the links. */
import type { Source } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import type { Traced } from '../tracing/traced.ts';
import type { Position } from './position.ts';

/** Where a publication entered this worker; `relay`: it is from a sibling or the broker. */
export type PublicationSource = Source | 'relay';

/** The client that sent a publication; client/client.ts implements it. */
export interface SenderInfo {
  /** its connection id */
  readonly id: string;
  /** null: the client has no user */
  readonly user: string | null;
}

/** The stored data of a publication of a channel with history. */
export interface StoredInfo {
  readonly position: Position;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  /** see `metaOf` */
  readonly meta: Buffer;
}

const connectionIdBytes = 22;

/** Returns the stored form of a sender: the connection id, followed by the user. */
export function metaOf(sender: SenderInfo | null): Buffer {
  return Buffer.from(sender === null ? '' : `${sender.id}${sender.user ?? ''}`);
}

/**
 * Parses the stored form of a sender.
 * @returns null: no client sent the publication
 */
export function senderOf(meta: Buffer): SenderInfo | null {
  if (meta.length < connectionIdBytes) return null;
  const user = meta.toString('utf8', connectionIdBytes);
  return { id: meta.toString('latin1', 0, connectionIdBytes), user: user === '' ? null : user };
}

export class Publication<M = unknown> {
  /** JSON in UTF-8, delivered unchanged */
  readonly payload: Buffer;
  readonly source: PublicationSource;
  /** the member that must not receive it; null: none */
  readonly sender: M | null;
  /** when the hub read it, in seconds of clock.ts */
  readonly readAt: number;
  /** null: not traced. Set before the publication is published. */
  traced: Traced | null = null;
  /** the client that sent it, whether or not it receives it; null: none, or the publication is from a relay */
  client: SenderInfo | null = null;
  /** null: the channel has no history. Set before the publication is delivered. */
  stored: StoredInfo | null = null;
  /** a message of the hub to the subscribers; protocols do not wrap it */
  isNotice = false;
  /**
   * Members that received it before their batch was written, because they left, minus recipients of the batch that
   * did not receive it, because they joined later. Only the fan-out changes it.
   */
  deliveredEarly = 0;

  constructor(payload: Buffer, source: PublicationSource, sender: M | null = null, readAt: number = now()) {
    this.payload = payload;
    this.source = source;
    this.sender = sender;
    this.readAt = readAt;
  }

  /** Marks the publication as traced from now on. */
  trace(traceContext: Buffer): void {
    this.traced = { traceContext, startedAt: now(), relaySeconds: null };
  }
}
