/** One message on its way from the edge of the hub to the fan-out and onto the links. */
import type { Source } from '../metrics/counters.ts';
import { now } from '../platform/clock.ts';
import type { Traced } from '../tracing/traced.ts';

/** Where a publication entered this worker; `relay`: it comes from a sibling. */
export type PublicationSource = Source | 'relay';

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
