/** One message on its way from the edge of the hub to the fan-out and onto the links. */
import type { Source } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import type { Traced } from '../tracing/traced.ts';
import type { Position } from './position.ts';

/** Where a publication entered this worker; `relay`: it comes from a sibling. */
export type PublicationSource = Source | 'relay';

/** The client that sent a publication; client/client.ts fits. */
export interface SenderInfo {
  /** its connection id */
  readonly id: string;
  /** null: it has none */
  readonly user: string | null;
}

/** What is known of a publication of a channel with history. */
export interface StoredInfo {
  readonly position: Position;
  /** when it was stored, in Unix milliseconds */
  readonly time: number;
  /** see `metaOf` */
  readonly meta: Buffer;
}

const connectionIdBytes = 22;

/** The sender as it is stored beside a publication: the connection id and, behind it, the user. */
export function metaOf(sender: SenderInfo | null): Buffer {
  return Buffer.from(sender === null ? '' : `${sender.id}${sender.user ?? ''}`);
}

/** @returns null: no client sent the publication */
export function senderOf(meta: Buffer): SenderInfo | null {
  if (meta.length < connectionIdBytes) return null;
  const user = meta.toString('utf8', connectionIdBytes);
  return { id: meta.toString('latin1', 0, connectionIdBytes), user: user === '' ? null : user };
}

export class Publication<M = unknown> {
  /** JSON in UTF-8, delivered as it is */
  readonly payload: Buffer;
  readonly source: PublicationSource;
  /** the member that must not receive it; null: all receive it */
  readonly sender: M | null;
  /** when the hub read it, in seconds of clock.ts */
  readonly readAt: number;
  /** null: not traced. Set before it is published. */
  traced: Traced | null = null;
  /** the client that sent it, also where it gets it back; null: none, or a relay brought it */
  client: SenderInfo | null = null;
  /** null: the channel has no history. Set before it is delivered. */
  stored: StoredInfo | null = null;
  /** a message of the hub itself to the subscribers; protocols do not wrap it */
  isNotice = false;
  /**
   * Members that received it besides the recipients of its batch, because they left before; less those of the
   * recipients that did not, because they joined after it. Only the fan-out changes it.
   */
  deliveredEarly = 0;

  constructor(payload: Buffer, source: PublicationSource, sender: M | null = null, readAt: number = now()) {
    this.payload = payload;
    this.source = source;
    this.sender = sender;
    this.readAt = readAt;
  }

  /** Marks it as traced from here on. */
  trace(traceContext: Buffer): void {
    this.traced = { traceContext, startedAt: now(), relaySeconds: null };
  }
}
