/**
 * Every metric of the hub: name, type, description, labels and origin. The names are a public contract; dashboards, rules and
 * docs/metrics.md are checked against this table. Clients can neither choose nor multiply the values of a label.
 */
import { coarseBuckets, fanBuckets, ipcBuckets, netBuckets } from './histogram.ts';

export interface Metric {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
  /** label names */
  labels: readonly string[];
  /** `worker`: from each worker; `primary`: from the primary; `process`: from every process; `http`: from each HTTP server */
  from: 'worker' | 'primary' | 'broker' | 'process' | 'http';
  /** upper bounds, of a histogram */
  buckets?: readonly number[];
  /** merges values with the same labels, which exist while a reload runs two workers of one slot; default: sum */
  merge?: 'max';
}

type Origin = Metric['from'];

const counter = <F extends Origin>(from: F, help: string, ...labels: string[]) => ({
  type: 'counter' as const,
  from,
  help,
  labels,
});
const gauge = <F extends Origin>(from: F, help: string, ...labels: string[]) => ({
  type: 'gauge' as const,
  from,
  help,
  labels,
});
const histogram = <F extends Origin>(
  from: F,
  buckets: readonly number[],
  help: string,
  ...labels: string[]
) => ({ type: 'histogram' as const, from, buckets, help, labels });
const max = <M extends Metric>(metric: M) => ({ ...metric, merge: 'max' as const });

/** The label `worker` is the slot, 0 to N-1, which a successor keeps; for the primary it is `primary`. */
export const catalogue = {
  wshub_build_info: gauge(
    'primary',
    'Version of the running hub: always 1.',
    'version',
    'revision',
    'node_version',
  ),
  wshub_workers: gauge('primary', 'Worker processes by state: starting, ready, draining.', 'state'),
  wshub_workers_expected: gauge('primary', 'Worker processes that the settings ask for.'),
  wshub_worker_up: gauge('primary', 'Whether the worker answered this collection: 1 or 0.', 'worker'),
  wshub_worker_start_time_seconds: gauge('primary', 'Start time of the worker, in Unix time.', 'worker'),
  wshub_worker_restarts_total: counter('primary', 'Workers replaced: crash, hang, memory, reload.', 'reason'),
  wshub_config_last_reload_successful: gauge('primary', 'Whether the last reload succeeded: 1 or 0.'),
  wshub_config_last_reload_success_timestamp_seconds: gauge(
    'primary',
    'Time of the last successful reload, or of the start, in Unix time.',
  ),
  wshub_metrics_collect_seconds: gauge(
    'primary',
    'Duration of this collection over all workers, in seconds.',
  ),
  wshub_draining: gauge('primary', 'Whether any worker is draining: 1 or 0.'),

  wshub_connections: gauge('worker', 'Open WebSocket connections.', 'worker'),
  wshub_connections_limit: max(gauge('worker', 'Maximum WebSocket connections of the worker.', 'worker')),
  wshub_fast_path: max(
    gauge(
      'worker',
      'Whether a fast path is in use, 1 or 0: raw_socket, listening_socket, http_injection.',
      'worker',
      'part',
    ),
  ),
  wshub_connections_opened_total: counter('worker', 'WebSocket connections opened.'),
  wshub_connections_closed_total: counter(
    'worker',
    'WebSocket connections closed: by the hub (one reason per close code), handler, client, no_pong, stale (no connect command), abnormal.',
    'reason',
  ),
  wshub_connections_rejected_total: counter(
    'worker',
    'Clients refused instead of connected, by error code, such as overloaded, too_many_connects, rate_limited, unauthorized, bad_request.',
    'reason',
  ),
  wshub_handshake_duration_seconds: histogram(
    'worker',
    netBuckets,
    'Seconds from an upgrade request to the message "connected".',
  ),
  wshub_channels: gauge(
    'worker',
    'Channels with a connection on this worker; do not sum over workers.',
    'worker',
  ),
  wshub_messages_received_total: counter(
    'worker',
    'Messages accepted for publication, by source: ws, http, handler.',
    'source',
  ),
  wshub_messages_delivered_total: counter(
    'worker',
    'Messages written to clients, one per recipient: published in the same worker (local) or another (relay).',
    'route',
  ),
  wshub_messages_dropped_total: counter(
    'worker',
    'Messages lost: slow_consumer, relay_backpressure, relay_down, rate_limited.',
    'reason',
  ),
  wshub_message_errors_total: counter(
    'worker',
    'Messages answered with an error, by its code: bad_request, bad_channel, unknown_namespace, bad_json, binary_not_supported, handler_failed, message_too_big, forbidden, reserved_message, unavailable; or too_many_pieces.',
    'reason',
  ),
  wshub_received_bytes_total: counter('worker', 'Payload bytes of the messages read from clients.'),
  wshub_sent_bytes_total: counter(
    'worker',
    'Payload bytes of the messages written to clients, per recipient.',
  ),
  wshub_publish_fanout_recipients: histogram(
    'worker',
    fanBuckets,
    'Recipients of one publication in one worker that delivered it.',
  ),
  wshub_delivery_latency_seconds: histogram(
    'worker',
    ipcBuckets,
    'Seconds from reading a message to the last write of it in a worker, once per message and worker.',
    'route',
  ),
  wshub_relay_latency_seconds: histogram(
    'worker',
    ipcBuckets,
    'Seconds from handing a publication to the link to decoding it in the other worker.',
  ),
  wshub_relay_frames_total: counter('worker', 'Frames between workers: in, out.', 'direction'),
  wshub_relay_bytes_total: counter('worker', 'Bytes between workers: in, out.', 'direction'),
  wshub_relay_peers: gauge('worker', 'Other workers that this one is linked to.', 'worker'),
  wshub_relay_queue_bytes: gauge('worker', 'Bytes queued for other workers.', 'worker'),
  wshub_relay_errors_total: counter(
    'worker',
    'Links or trace blocks that failed: decode, version, peer_reset.',
    'reason',
  ),
  wshub_send_buffer_bytes: gauge('worker', 'Bytes queued for clients.', 'worker'),
  wshub_send_buffer_max_bytes: max(gauge('worker', 'Bytes queued for the slowest client.', 'worker')),
  wshub_slow_consumers: gauge(
    'worker',
    'Clients with more bytes queued than the soft limit allows.',
    'worker',
  ),
  wshub_eventloop_lag_p99_seconds: max(
    gauge('process', 'Timer delay, 99th percentile of the last 10 s, in seconds.', 'worker'),
  ),
  wshub_eventloop_utilization_ratio: max(
    gauge('process', 'Event loop utilization over the last 10 s, from 0 to 1.', 'worker'),
  ),
  wshub_drain_remaining_connections: gauge(
    'primary',
    'Connections that draining workers still have to close.',
    'worker',
  ),
  wshub_drain_forced_total: counter(
    'primary',
    'Connections that a drain had to drop without a close handshake.',
  ),
  wshub_primary_errors_total: counter(
    'primary',
    'Errors that the primary survived: uncaught_exception, unhandled_rejection, invalid_message.',
    'reason',
  ),

  wshub_resumes_total: counter(
    'worker',
    'Joins of channels with history: what the client had missed followed (recovered), could not be had (unrecovered), or was not asked for (new).',
    'result',
  ),
  wshub_broker_expected: gauge('primary', 'Whether a namespace or an engine needs the broker: 1 or 0.'),
  wshub_engine_expected: gauge('primary', 'Whether the hub shares an engine with other machines: 1 or 0.'),
  wshub_broker_up: gauge('primary', 'Whether the broker serves and answers: 1 or 0.'),
  wshub_broker_restarts_total: counter('primary', 'Brokers replaced: crash, hang.', 'reason'),
  wshub_history_bytes: gauge(
    'broker',
    'Memory of the history, by which WSHUB_HISTORY_MAX_BYTES is measured.',
  ),
  wshub_history_messages: gauge('broker', 'Publications kept.'),
  wshub_history_channels: gauge('broker', 'Channels with a position.'),
  wshub_history_file_bytes: gauge('broker', 'Bytes of the history files; 0 while they cannot be written.'),
  wshub_history_write_failing: gauge(
    'broker',
    'Whether history cannot be written to the state directory and is in memory only: 1 or 0.',
  ),
  wshub_history_write_errors_total: counter('broker', 'Failed writes to the history files.'),
  wshub_history_appended_total: counter('broker', 'Publications stored.'),
  wshub_history_trimmed_total: counter(
    'broker',
    'Publications that left: size, ttl, removed, evicted.',
    'reason',
  ),
  wshub_history_evicted_channels_total: counter(
    'broker',
    'Channels that lost their history because of WSHUB_HISTORY_MAX_BYTES.',
  ),
  wshub_history_append_seconds: histogram('broker', ipcBuckets, 'Seconds in which one batch was stored.'),
  wshub_engine_batch_messages: histogram('broker', fanBuckets, 'Publications that were stored together.'),
  wshub_engine_epochs_total: counter(
    'broker',
    'New epochs: of a channel without one (new), after WSHUB_HISTORY_MAX_BYTES took its position (lost), after the server of the engine was restarted or replaced (failover).',
    'reason',
  ),
  wshub_engine_up: gauge(
    'broker',
    'Whether the server that machines share is reached: 1 or 0; 0 without one.',
  ),
  wshub_engine_waiting_messages: gauge(
    'broker',
    'Publications of channels with history that the server has not stored yet.',
  ),
  wshub_machines: gauge('broker', 'Machines that share the server, this one included; 0 without one.'),
  wshub_engine_connects_total: counter(
    'broker',
    'Attempts to connect to the server of the engine: ok, failed.',
    'result',
  ),
  wshub_engine_echoes_total: counter('broker', 'Own publications that came back from the engine.'),
  wshub_engine_dropped_total: counter(
    'broker',
    'Publications without history that were lost between machines: engine_down, queue_full, version (not understood), worker_slow.',
    'reason',
  ),
  wshub_engine_gaps_total: counter(
    'broker',
    'Workers that missed publications of a channel: filled from the history, or insufficient.',
    'result',
  ),
  wshub_duplicates_total: counter(
    'broker',
    'Publications that were stored before: by idempotency key, or sent again by a worker (retry).',
    'reason',
  ),
  wshub_presence_entries: gauge('broker', 'Members of channels with presence or joinLeave.'),
  wshub_presence_events_total: counter('broker', 'Members that joined and left.', 'event'),
  wshub_presence_events_dropped_total: counter(
    'broker',
    'Joins and leaves dropped because 100 000 waited for the handlers onJoin, onLeave, onOccupied, onVacated.',
  ),

  wshub_log_lines_dropped_total: counter(
    'process',
    'Log lines dropped because standard output was full or could not be written.',
    'worker',
  ),
  nodejs_gc_duration_seconds: histogram(
    'process',
    coarseBuckets,
    'Pauses of the garbage collector: minor, major, incremental, weakcb; all processes together.',
    'kind',
  ),
  process_cpu_seconds_total: counter('process', 'CPU time of user and system, in seconds.', 'worker'),
  process_resident_memory_bytes: gauge('process', 'Resident memory.', 'worker'),
  nodejs_heap_used_bytes: gauge('process', 'Used memory of the JavaScript heap.', 'worker'),
  process_open_fds: gauge('process', 'Open file descriptors.', 'worker'),
  process_max_fds: max(gauge('process', 'Maximum open file descriptors of the process.', 'worker')),

  wshub_http_requests_total: counter(
    'http',
    'HTTP requests answered; HEAD counts as GET.',
    'method',
    'route',
    'code',
  ),
  wshub_http_request_duration_seconds: histogram(
    'http',
    coarseBuckets,
    'Duration of HTTP requests in seconds, except those refused with 4xx.',
    'method',
    'route',
    'code',
  ),
  wshub_admin_actions_total: counter(
    'http',
    'Admin actions by outcome: done or an error code.',
    'action',
    'result',
  ),
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof catalogue;

/** The metrics of one origin. */
export type MetricFrom<F extends Metric['from']> = {
  [N in MetricName]: (typeof catalogue)[N]['from'] extends F ? N : never;
}[MetricName];
