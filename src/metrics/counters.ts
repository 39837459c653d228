/**
 * What a worker counts on its hot paths: plain numbers that only grow, written where the thing happens and read
 * when somebody asks. No I/O, no dependency. A field stands for one metric of observability/catalogue.ts, and
 * what is counted by reason has a member for each reason from the start.
 */
import { fanBuckets, Histogram, ipcBuckets, netBuckets } from './histogram.ts';
import { closeReasons, type CloseReason } from '../platform/close-reasons.ts';

/**
 * How a connection ended: by the hub (one for each close code), by a user's function with a code of its own
 * (`handler`), by the client's close frame, or without one: it has answered no ping (`no_pong`), or is gone (`abnormal`).
 */
export type DisconnectCause = CloseReason | 'handler' | 'client' | 'no_pong' | 'abnormal';

/** Where a publication came from: a client's message, a POST, or a user's function. */
export type Source = 'ws' | 'http' | 'handler';

export class Counters {
  /** publications accepted */
  readonly received: Record<Source, number> = { ws: 0, http: 0, handler: 0 };
  /** messages written to a local client, one per recipient, by the worker that they were published in: this or another */
  readonly delivered = { local: 0, relay: 0 };
  /** messages that somebody was to get and did not */
  readonly dropped = {
    /** messages that a slow client did not get */
    slow_consumer: 0,
    /** not sent to a sibling because its link's buffer was full */
    relay_backpressure: 0,
    /** lost because the link to a known sibling was down */
    relay_down: 0,
    /** a client sent more than it may */
    rate_limit: 0,
  };
  /** messages answered with an error */
  readonly messageErrors = {
    bad_json: 0,
    binary: 0,
    handler_failed: 0,
    too_big: 0,
    too_many_pieces: 0,
    forbidden: 0,
    reserved_message: 0,
  };
  /** payload bytes of clients' messages, and of messages written to clients */
  receivedBytes = 0;
  sentBytes = 0;

  opened = 0;
  readonly closed: Record<DisconnectCause, number> = {
    ...zeros(closeReasons),
    handler: 0,
    client: 0,
    no_pong: 0,
    abnormal: 0,
  };
  /** upgrade requests that were refused */
  readonly rejected = {
    bad_request: 0,
    origin: 0,
    unauthorized: 0,
    /** no whole request in time */
    timeout: 0,
    rate_limit: 0,
    rate_limit_per_address: 0,
    max_connections: 0,
    max_connections_per_address: 0,
    max_channels: 0,
    draining: 0,
  };
  readonly relayFrames = { in: 0, out: 0 };
  readonly relayBytes = { in: 0, out: 0 };
  readonly relayErrors = { decode: 0, version: 0, peer_reset: 0 };

  /** seconds from the upgrade request to `connected` */
  readonly handshake = new Histogram(netBuckets);
  /** recipients of one publication in this worker */
  readonly recipients = new Histogram(fanBuckets);
  /** seconds from a message's arrival at the hub to the last write of it in this worker, once per message */
  readonly latency = { local: new Histogram(ipcBuckets), relay: new Histogram(ipcBuckets) };
  /** seconds from one worker's link to the other's */
  readonly relayLatency = new Histogram(ipcBuckets);
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
