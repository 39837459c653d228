/**
 * Traces as the hub's parts see them. Off, which is the default, costs one look at `on` at each site and loads
 * nothing; otel.ts has what is behind it when they are on. A method that returns null says: this one is not kept.
 */
import type { OnTraced } from './traced.ts';

/** The span of a publication in the worker that received it. */
export interface PublishSpan {
  readonly traceId: string;
  /** what goes with the message to those who deliver it; see trace-context.ts */
  readonly block: Buffer;
  /** It has been handed to all who deliver it, or has failed. */
  end(error?: unknown): void;
}

/** A request on its way through this process. */
export interface RequestSpan {
  readonly traceId: string;
  /** names this span to another process (W3C Trace Context, section 3.2) */
  readonly traceparent: string;
  /** @param status of HTTP */
  end(status: number): void;
}

export interface Tracing {
  /** false: nothing else of it need be called */
  readonly on: boolean;
  /** @param traceparent what the client sent as such, trusted or not */
  publication(channel: string, readAt: number, bytes: number, traceparent: unknown): PublishSpan | null;
  /** A message with a trace block has been written to all of this worker's members. */
  readonly delivered: OnTraced;
  /** @param channel null where the request names none */
  upgrade(channel: string | null, startedAt: number, traceparent: unknown): RequestSpan | null;
  admin(method: string, route: string): RequestSpan | null;
  /** @param traceparent of the admin request whose part this worker does */
  control(action: string, traceparent: string): RequestSpan | null;
  /** Sends what has been kept; never takes longer than 3 s. */
  shutdown(): Promise<void>;
}

export const noTracing: Tracing = {
  on: false,
  publication: () => null,
  delivered: () => undefined,
  upgrade: () => null,
  admin: () => null,
  control: () => null,
  shutdown: () => Promise.resolve(),
};

export interface TracingOptions {
  /** the worker's id, or `primary` */
  worker: string;
  version: string;
  /** from seconds of clock.ts to Unix time; the same in all processes, so that their spans can be compared */
  unixOffset: number;
  /** continue traces that clients name */
  trustTraceparent: boolean;
  /** say in spans which channel it was */
  traceChannels: boolean;
  /** counts trace blocks that were not understood */
  errors: { decode: number; version: number };
  /** told what the SDK has to complain of, now and then */
  complain: (complaint: string) => void;
}
