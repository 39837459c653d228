/**
 * The tracing interface for the parts of the hub, implemented by otel.ts. Off, the default, costs one check of `on` at each site and
 * loads nothing. Methods return null for traces that are not sampled.
 */
import type { OnAppended, OnTraced } from './traced.ts';

/** The span of a publication in the worker that received it. */
export interface PublishSpan {
  readonly traceId: string;
  /** trace context, sent along with the message; see trace-context.ts */
  readonly block: Buffer;
  /** Called when the publication was handed to its deliverers, or has failed. */
  end(error?: unknown): void;
}

/** The span of a request in this process. */
export interface RequestSpan {
  readonly traceId: string;
  /** identifies this span for another process (W3C Trace Context, section 3.2) */
  readonly traceparent: string;
  /** @param status HTTP status */
  end(status: number): void;
}

export interface Tracing {
  /** false: no other method needs to be called */
  readonly on: boolean;
  /** @param traceparent the client's value, trusted or not */
  publication(channel: string, readAt: number, bytes: number, traceparent: unknown): PublishSpan | null;
  /** @param request traceparent of the span of the HTTP request that publishes */
  publicationOf(request: string, channel: string, readAt: number, bytes: number): PublishSpan | null;
  /** Called when the broker has stored a traced message. */
  readonly appended: OnAppended;
  /**
   * Called when the requested publications of a client were read from the history.
   * @param upgrade traceparent of the span of its handshake
   * @param recovered null: it has asked for the last ones
   */
  resumed(
    upgrade: string,
    channel: string,
    startedAt: number,
    recovered: boolean | null,
    publications: number,
  ): void;
  /** Called after the last write of a traced message in this worker. */
  readonly delivered: OnTraced;
  /** @param channel null: the request names none */
  upgrade(channel: string | null, startedAt: number, traceparent: unknown): RequestSpan | null;
  admin(method: string, route: string): RequestSpan | null;
  /** @param traceparent of the admin request of which this worker executes a part */
  control(action: string, traceparent: string): RequestSpan | null;
  /** Sends the remaining spans; takes at most 3 s. */
  shutdown(): Promise<void>;
}

export const noTracing: Tracing = {
  on: false,
  publication: () => null,
  publicationOf: () => null,
  appended: () => undefined,
  resumed: () => undefined,
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
  /** added to seconds of clock.ts gives Unix time; the same in all processes, so that their spans are comparable */
  unixOffset: number;
  /** continue traces that clients name */
  trustTraceparent: boolean;
  /** include channel names in spans */
  traceChannels: boolean;
  /** counts invalid trace contexts */
  errors: { decode: number; version: number };
  /** called with errors of the SDK, at a limited rate */
  complain: (complaint: string) => void;
}
