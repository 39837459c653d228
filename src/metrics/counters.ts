/**
 * The counters of a worker's hot paths: plain numbers that only grow, read when metrics are collected. No I/O. Each field is
 * one metric of catalogue.ts; counters by reason have a member for every reason from the start. The reason of
 * a refusal is its error code, that of a close its close reason.
 */
import { fanBuckets, Histogram, ipcBuckets, netBuckets } from './histogram.ts';
import { closeReasons, type CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';

/**
 * How a connection ended: by the hub (one cause per close code), by a handler with its own code (`handler`), by the client's
 * close frame (`client`), by a missing pong (`no_pong`) or connect command (`stale`), or without a close frame (`abnormal`).
 */
export type DisconnectCause = CloseReason | 'handler' | 'client' | 'no_pong' | 'stale' | 'abnormal';

/** Error codes that clients are refused with. */
const rejections = [
  'bad_request',
  'bad_channel',
  'bad_query',
  'upgrade_required',
  'request_timeout',
  'origin_not_allowed',
  'unauthorized',
  'forbidden',
  'rate_limited',
  'too_many_connects',
  'too_many_connections',
  'overloaded',
  'too_many_channels',
  'unknown_namespace',
  'handler_failed',
  'unavailable',
] as const satisfies readonly ErrorCode[];

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
    rate_limited: 0,
  };
  /** messages answered with an error */
  readonly messageErrors = {
    bad_request: 0,
    bad_channel: 0,
    unknown_namespace: 0,
    bad_json: 0,
    binary_not_supported: 0,
    handler_failed: 0,
    message_too_big: 0,
    too_many_pieces: 0,
    forbidden: 0,
    reserved_message: 0,
    unavailable: 0,
  };
  /** joins of channels with history: the missed publications followed, could not be had, or were not asked for */
  readonly resumes = { recovered: 0, unrecovered: 0, new: 0 };
  /** payload bytes read from clients and written to clients */
  receivedBytes = 0;
  sentBytes = 0;

  opened = 0;
  readonly closed: Record<DisconnectCause, number> = {
    ...zeros(closeReasons),
    handler: 0,
    client: 0,
    no_pong: 0,
    stale: 0,
    abnormal: 0,
  };
  /** clients refused instead of connected, by error code */
  readonly rejected: Partial<Record<ErrorCode, number>> = zeros(rejections);
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
