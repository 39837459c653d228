/**
 * The counters of a worker's hot paths: plain numbers that only grow, read when metrics are collected. No I/O. Each field is
 * one metric of catalogue.ts; counters by reason have a member for every reason from the start.
 */
import { fanBuckets, Histogram, ipcBuckets, netBuckets } from './histogram.ts';
import { closeReasons, type CloseReason } from '../platform/close-reasons.ts';

/**
 * How a connection ended: by the hub (one cause per close code), by a handler with its own code (`handler`), by the client's
 * close frame (`client`), by a missing pong (`no_pong`), or without a close frame (`abnormal`).
 */
export type DisconnectCause = CloseReason | 'handler' | 'client' | 'no_pong' | 'abnormal';

/** Source of a publication: a client's message, an HTTP request, or a handler. */
export type Source = 'ws' | 'http' | 'handler';

export class Counters {
  /** publications accepted */
  readonly received: Record<Source, number> = { ws: 0, http: 0, handler: 0 };
  /** messages written to clients, one per recipient: published in this worker (local) or another one (relay) */
  readonly delivered = { local: 0, relay: 0 };
  /** messages that were not delivered */
  readonly dropped = {
    /** skipped for a slow client */
    slow_consumer: 0,
    /** not sent to a sibling because the buffer of its link was full */
    relay_backpressure: 0,
    /** not sent because the link to a known sibling was down */
    relay_down: 0,
    /** refused because the sender exceeded its rate limit */
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
  /** payload bytes read from clients and written to clients */
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
    /** no complete request in time */
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
  /** seconds from reading a message to its last write in this worker, once per message */
  readonly latency = { local: new Histogram(ipcBuckets), relay: new Histogram(ipcBuckets) };
  /** seconds from the link of one worker to that of another */
  readonly relayLatency = new Histogram(ipcBuckets);
}

function zeros<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
