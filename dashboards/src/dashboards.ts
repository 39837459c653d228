/** The dashboards, from the general to the specific. `npm run dashboards` writes them to dashboards/*.json. */
import {
  firingAlerts,
  metric,
  ofLiveHubs,
  part,
  percentiles,
  rate,
  sumBy,
  upOfHubs,
  type AnnotationSpec,
  type DashboardSpec,
} from './spec.ts';

/** 99.9 % of deliveries are written within 100 ms. */
const objective = 0.001;

/** Share of deliveries slower than 100 ms. */
function slowShare(bucket: string, count: string): string {
  return `1 - ${sumBy([], bucket)} / ${sumBy([], count)}`;
}

const latency = 'wshub_delivery_latency_seconds';

export const annotations: readonly AnnotationSpec[] = [
  {
    name: 'Reload',
    expr: `changes(${metric('wshub_config_last_reload_success_timestamp_seconds')}[1m]) > 0`,
    text: '{{instance}}: settings read anew, workers replaced',
    color: 'blue',
  },
  {
    name: 'Worker replaced',
    expr: `${sumBy(['reason'], `increase(${metric('wshub_worker_restarts_total', 'reason!="reload"')}[1m])`)} > 0`,
    text: '{{instance}}: {{reason}}',
    color: 'red',
  },
  {
    name: 'Version changed',
    expr: `${metric('wshub_build_info')} unless ${metric('wshub_build_info')} offset 1m`,
    text: '{{instance}}: {{version}} {{revision}} on Node {{node_version}}',
    color: 'purple',
  },
];

const overview: DashboardSpec = {
  uid: 'wshub-overview',
  title: 'wshub / Overview',
  description: 'What do clients experience?',
  rows: [
    {
      title: 'Is it healthy?',
      panels: [
        {
          title: 'Reachable',
          description: 'Does Prometheus reach the hub? 1: yes, 0: no.',
          unit: 'short',
          stat: { redBelow: 1 },
          runbook: 'WshubDown',
          queries: [{ expr: upOfHubs(), legend: '{{instance}}' }],
        },
        {
          title: 'Ready of expected workers',
          description: 'Are all workers ready? Below 100 % the others carry their load.',
          unit: 'percentunit',
          stat: { redBelow: 1 },
          runbook: 'WshubWorkersMissing',
          queries: [
            {
              expr: `${sumBy([], metric('wshub_workers', 'state="ready"'))} / ${sumBy([], metric('wshub_workers_expected'))}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Error budget left',
          description:
            'How much of the 30-day error budget is left? The objective: 99.9 % of deliveries within 100 ms. Below 0 it is missed.',
          unit: 'percentunit',
          stat: { redBelow: 0 },
          runbook: 'WshubDeliverySloSlowBurn',
          queries: [
            {
              expr: `1 - (${slowShare(
                `increase(${part(latency, 'bucket', 'le="0.1"')}[30d])`,
                `increase(${part(latency, 'count')}[30d])`,
              )}) / ${objective}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Alerts firing',
          description: 'How many alerts of this hub fire? Prometheus has the list.',
          unit: 'short',
          stat: { redFrom: 1 },
          queries: [{ expr: firingAlerts(), legend: '{{instance}}' }],
        },
      ],
    },
    {
      title: 'At a glance',
      panels: [
        {
          title: 'Connections',
          description: 'How many clients are connected, over all workers?',
          unit: 'short',
          stat: { sparkline: true },
          queries: [{ expr: ofLiveHubs(sumBy([], metric('wshub_connections'))), legend: '{{instance}}' }],
        },
        {
          title: 'Publications',
          description: 'How many messages a second are accepted from clients, HTTP and handlers?',
          unit: 'mps',
          stat: { sparkline: true },
          queries: [
            {
              expr: ofLiveHubs(sumBy([], rate(metric('wshub_messages_received_total')))),
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Deliveries',
          description: 'How many messages a second are written to clients, counted per recipient?',
          unit: 'mps',
          stat: { sparkline: true },
          queries: [
            {
              expr: ofLiveHubs(sumBy([], rate(metric('wshub_messages_delivered_total')))),
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Slower than 100 ms',
          description: 'Is the objective met now? Share of deliveries slower than 100 ms; at most 0.1 %.',
          unit: 'percentunit',
          stat: { redFrom: objective },
          runbook: 'WshubDeliverySloFastBurn',
          queries: [
            {
              expr: slowShare(rate(part(latency, 'bucket', 'le="0.1"')), rate(part(latency, 'count'))),
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Messages',
          description: 'How does traffic develop? Publications by source, deliveries by route.',
          unit: 'mps',
          queries: [
            {
              expr: sumBy(['source'], rate(metric('wshub_messages_received_total'))),
              legend: '{{instance}} in {{source}}',
            },
            {
              expr: sumBy(['route'], rate(metric('wshub_messages_delivered_total'))),
              legend: '{{instance}} out {{route}}',
            },
          ],
        },
        {
          title: 'Delivery latency',
          description:
            'How long does a message take through the hub, from its read to its last write in a worker? local: published in that worker, relay: in another one.',
          unit: 's',
          limits: { red: 0.1 },
          runbook: 'WshubDeliverySloFastBurn',
          queries: percentiles(latency, ['route']),
        },
        {
          title: 'Delivery latency distribution',
          description: 'Is there a second population of slow deliveries that a percentile hides?',
          unit: 's',
          heatmap: true,
          queries: [
            {
              expr: `sum by (le) (increase(${part(latency, 'bucket')}[$__rate_interval]))`,
              legend: '{{le}}',
            },
          ],
        },
        {
          title: 'Opened and closed connections',
          description: 'Do clients stay connected? Two lines that rise together are a reconnect storm.',
          unit: 'cps',
          runbook: 'WshubReconnectStorm',
          queries: [
            {
              expr: sumBy([], rate(metric('wshub_connections_opened_total'))),
              legend: '{{instance}} opened',
            },
            {
              expr: sumBy([], rate(metric('wshub_connections_closed_total'))),
              legend: '{{instance}} closed',
            },
          ],
        },
      ],
    },
    {
      title: 'Errors and refusals',
      panels: [
        {
          title: 'Dropped messages',
          description: 'Are messages lost, and where? By reason; all lines are 0 on a healthy hub.',
          unit: 'mps',
          runbook: 'WshubMessageDrops',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_messages_dropped_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Rejected messages',
          description: 'Which messages are answered with an error? By reason.',
          unit: 'mps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_message_errors_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Closed connections by reason',
          description:
            'Why do connections end? The hub’s close reasons, the client’s own close, or none (no_pong, abnormal).',
          unit: 'cps',
          queries: [
            {
              expr: `${sumBy(['reason'], rate(metric('wshub_connections_closed_total')))} > 0`,
              legend: '{{instance}} {{reason}}',
            },
          ],
          emptyWhenWell: true,
        },
        {
          title: 'Rejected connections',
          description: 'Which connection attempts are refused, and why?',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_connections_rejected_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Traffic in detail',
      panels: [
        {
          title: 'Handshake duration',
          description: 'How long does a client wait for “connected” after its upgrade request?',
          unit: 's',
          queries: percentiles('wshub_handshake_duration_seconds', []),
        },
        {
          title: 'Recipients per publication',
          description: 'How large are the audiences? Recipients of one publication in one worker.',
          unit: 'short',
          queries: percentiles('wshub_publish_fanout_recipients', []),
        },
        {
          title: 'Payload bytes',
          description: 'How many payload bytes are read from clients and written to them?',
          unit: 'Bps',
          queries: [
            { expr: sumBy([], rate(metric('wshub_received_bytes_total'))), legend: '{{instance}} received' },
            { expr: sumBy([], rate(metric('wshub_sent_bytes_total'))), legend: '{{instance}} sent' },
          ],
        },
      ],
    },
  ],
};

const perWorker = '{{instance}} {{worker}}';

const workers: DashboardSpec = {
  uid: 'wshub-workers',
  title: 'wshub / Workers and relay',
  description: 'Which worker is in trouble?',
  rows: [
    {
      title: 'Workers',
      panels: [
        {
          title: 'Ready workers',
          description: 'Are all workers ready, compared with the setting?',
          unit: 'short',
          stat: {},
          runbook: 'WshubWorkersMissing',
          queries: [
            { expr: metric('wshub_workers', 'state="ready"'), legend: '{{instance}} ready' },
            { expr: metric('wshub_workers_expected'), legend: '{{instance}} expected' },
          ],
        },
        {
          title: 'Worker restarts',
          description: 'Do workers die? Replacements in the last hour, by reason.',
          unit: 'short',
          stat: {},
          runbook: 'WshubWorkerRestartLoop',
          queries: [
            {
              expr: sumBy(['reason'], `increase(${metric('wshub_worker_restarts_total')}[1h])`),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Responsive workers',
          description: 'Which worker answers its primary? 1: yes, 0: no.',
          unit: 'short',
          runbook: 'WshubWorkerUnresponsive',
          queries: [{ expr: metric('wshub_worker_up'), legend: perWorker }],
        },
        {
          title: 'Event loop utilization',
          description: 'Which worker is saturated? Near 1, everything on it waits.',
          unit: 'percentunit',
          limits: { orange: 0.7, red: 0.9 },
          runbook: 'WshubEventLoopSaturated',
          queries: [{ expr: metric('wshub_eventloop_utilization_ratio'), legend: perWorker }],
        },
        {
          title: 'Event loop lag',
          description: 'Which worker blocks? 99th percentile of the timer delay over 10 s.',
          unit: 's',
          limits: { orange: 0.1, red: 1 },
          runbook: 'WshubEventLoopSaturated',
          queries: [{ expr: metric('wshub_eventloop_lag_p99_seconds'), legend: perWorker }],
        },
        {
          title: 'CPU',
          description: 'How many CPU cores does each process use?',
          unit: 'short',
          queries: [{ expr: rate(metric('process_cpu_seconds_total')), legend: perWorker }],
        },
      ],
    },
    {
      title: 'Load by worker',
      panels: [
        {
          title: 'Connections by worker',
          description: 'Are connections balanced over the workers? And the limit of each worker.',
          unit: 'short',
          runbook: 'WshubConnectionsNearLimit',
          queries: [
            { expr: metric('wshub_connections'), legend: perWorker },
            {
              expr: metric('wshub_connections_limit'),
              legend: '{{instance}} {{worker}} limit',
              isLimit: true,
            },
          ],
        },
        {
          title: 'Channels by worker',
          description:
            'How many channels does each worker serve? A channel can be on several: do not add them up.',
          unit: 'short',
          queries: [{ expr: metric('wshub_channels'), legend: perWorker }],
        },
        {
          title: 'Send buffers',
          description: 'Do clients read? Bytes queued for all clients of a worker, and for its slowest one.',
          unit: 'bytes',
          runbook: 'WshubBackpressureMemory',
          queries: [
            { expr: metric('wshub_send_buffer_bytes'), legend: '{{instance}} {{worker}} all' },
            { expr: metric('wshub_send_buffer_max_bytes'), legend: '{{instance}} {{worker}} slowest' },
          ],
        },
        {
          title: 'Slow consumers',
          description: 'How many clients read too slowly, with more bytes queued than the soft limit?',
          unit: 'short',
          runbook: 'WshubSlowConsumers',
          queries: [{ expr: metric('wshub_slow_consumers'), legend: perWorker }],
        },
      ],
    },
    {
      title: 'Relay between workers',
      panels: [
        {
          title: 'Relay latency',
          description: 'How long does a message take from the link of one worker to another worker?',
          unit: 's',
          runbook: 'WshubRelayDegraded',
          queries: percentiles('wshub_relay_latency_seconds', []),
        },
        {
          title: 'Linked workers',
          description:
            'Is every worker linked to all others? Each line is one less than the number of workers.',
          unit: 'short',
          runbook: 'WshubRelayDegraded',
          queries: [{ expr: metric('wshub_relay_peers'), legend: perWorker }],
        },
        {
          title: 'Relay queues',
          description: 'Which worker cannot hand messages to its siblings? Queued bytes of all its links.',
          unit: 'bytes',
          runbook: 'WshubRelayDegraded',
          queries: [{ expr: metric('wshub_relay_queue_bytes'), legend: perWorker }],
        },
        {
          title: 'Relay traffic',
          description: 'How many bytes cross between workers?',
          unit: 'Bps',
          queries: [
            {
              expr: sumBy(['direction'], rate(metric('wshub_relay_bytes_total'))),
              legend: '{{instance}} {{direction}}',
            },
          ],
        },
        {
          title: 'Relay frames',
          description: 'How many frames cross between workers? Bytes per frame show how well batching works.',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['direction'], rate(metric('wshub_relay_frames_total'))),
              legend: '{{instance}} {{direction}}',
            },
          ],
        },
        {
          title: 'Relay errors',
          description: 'Do links break? By reason; all lines are 0 on a healthy hub.',
          unit: 'cps',
          runbook: 'WshubRelayDegraded',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_relay_errors_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Broker and history',
      panels: [
        {
          title: 'Broker',
          description: 'Does the broker serve where a namespace needs it? 1: it is needed and does not.',
          unit: 'short',
          runbook: 'WshubBrokerDown',
          emptyWhenWell: true,
          queries: [
            {
              expr: `${metric('wshub_broker_expected')} > ${metric('wshub_broker_up')}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Broker restarts',
          description: 'Does the broker die or hang? By reason.',
          unit: 'short',
          runbook: 'WshubBrokerDown',
          queries: [
            {
              expr: sumBy(['reason'], `increase(${metric('wshub_broker_restarts_total')}[5m])`),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'History',
          description: 'How much memory does the history take, and how large are its files?',
          unit: 'bytes',
          queries: [
            { expr: metric('wshub_history_bytes'), legend: '{{instance}} memory' },
            { expr: metric('wshub_history_file_bytes'), legend: '{{instance}} files' },
          ],
        },
        {
          title: 'Channels and publications kept',
          description: 'How many channels have a position, and how many publications are kept?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_history_channels'), legend: '{{instance}} channels' },
            { expr: metric('wshub_history_messages'), legend: '{{instance}} publications' },
          ],
        },
        {
          title: 'Publications stored and dropped from the history',
          description:
            'How many publications are stored, and why do others leave? Evicted ones show that the memory bound is too low.',
          unit: 'cps',
          queries: [
            { expr: rate(metric('wshub_history_appended_total')), legend: '{{instance}} stored' },
            {
              expr: sumBy(['reason'], rate(metric('wshub_history_trimmed_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Channels that lost their history',
          description: 'Does the memory bound take histories? New epochs of `lost` make resumes fail.',
          unit: 'cps',
          runbook: 'WshubHistoryEvicted',
          queries: [
            { expr: rate(metric('wshub_history_evicted_channels_total')), legend: '{{instance}} histories' },
            {
              expr: sumBy(['reason'], rate(metric('wshub_engine_epochs_total'))),
              legend: '{{instance}} epochs {{reason}}',
            },
          ],
        },
        {
          title: 'Joins of channels with history',
          description:
            'Do clients get what they missed? Unrecovered ones show that histories are too short, or were lost.',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['result'], rate(metric('wshub_resumes_total'))),
              legend: '{{instance}} {{result}}',
            },
          ],
        },
        {
          title: 'Time to store',
          description: 'How long does the broker take to store a batch?',
          unit: 's',
          queries: percentiles('wshub_history_append_seconds', []),
        },
        {
          title: 'Publications per batch',
          description: 'How many publications does the broker store together?',
          unit: 'short',
          queries: percentiles('wshub_engine_batch_messages', []),
        },
        {
          title: 'Duplicates and gaps',
          description:
            'Are publications sent twice, and do workers miss some? Gaps that are insufficient reach clients.',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_duplicates_total'))),
              legend: '{{instance}} duplicate {{reason}}',
            },
            {
              expr: sumBy(['result'], rate(metric('wshub_engine_gaps_total'))),
              legend: '{{instance}} gap {{result}}',
            },
          ],
        },
        {
          title: 'Engine not reached',
          description: 'Is the server that machines share reached? 1: it is not.',
          unit: 'short',
          runbook: 'WshubEngineDown',
          emptyWhenWell: true,
          queries: [
            {
              expr: `${metric('wshub_engine_expected')} > ${metric('wshub_engine_up')}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Machines',
          description: 'How many machines share the engine, and how many publications wait for it?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_machines'), legend: '{{instance}} machines' },
            { expr: metric('wshub_engine_waiting_messages'), legend: '{{instance}} waiting' },
          ],
        },
        {
          title: 'Engine',
          description:
            'Is the server that several machines share reached, and do publications between machines get lost?',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['result'], rate(metric('wshub_engine_connects_total'))),
              legend: '{{instance}} connect {{result}}',
            },
            {
              expr: sumBy(['reason'], rate(metric('wshub_engine_dropped_total'))),
              legend: '{{instance}} dropped {{reason}}',
            },
            { expr: rate(metric('wshub_engine_echoes_total')), legend: '{{instance}} echoes' },
          ],
        },
        {
          title: 'Presence',
          description:
            'How many clients are on channels with presence or joinLeave, and how fast do they change?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_presence_entries'), legend: '{{instance}} members' },
            {
              expr: sumBy(['event'], rate(metric('wshub_presence_events_total'))),
              legend: '{{instance}} {{event}} per second',
            },
            {
              expr: rate(metric('wshub_presence_events_dropped_total')),
              legend: '{{instance}} not handled per second',
            },
          ],
        },
        {
          title: 'History cannot be written',
          description: 'Can the state directory be written? 1: history is in memory only.',
          unit: 'short',
          runbook: 'WshubHistoryNotWritten',
          queries: [
            { expr: metric('wshub_history_write_failing'), legend: '{{instance}} failing' },
            { expr: rate(metric('wshub_history_write_errors_total')), legend: '{{instance}} errors' },
          ],
        },
      ],
    },
  ],
};

const runtime: DashboardSpec = {
  uid: 'wshub-runtime',
  title: 'wshub / Runtime and lifecycle',
  description: 'Is the process itself healthy: memory, descriptors, reloads, versions?',
  rows: [
    {
      title: 'Versions and reloads',
      panels: [
        {
          title: 'Version',
          description: 'Which version runs where?',
          unit: 'short',
          stat: { nameOnly: true },
          queries: [
            {
              expr: metric('wshub_build_info'),
              legend: '{{instance}} {{version}} {{revision}} {{node_version}}',
            },
          ],
        },
        {
          title: 'Worker uptime',
          description: 'How long has each worker been running? A young one among old ones was replaced.',
          unit: 's',
          stat: {},
          queries: [{ expr: `time() - ${metric('wshub_worker_start_time_seconds')}`, legend: perWorker }],
        },
        {
          title: 'Last reload',
          description: 'Did the last reload succeed? 1: yes, 0: the hub continues with the old settings.',
          unit: 'short',
          stat: { redBelow: 1 },
          runbook: 'WshubReloadFailed',
          queries: [{ expr: metric('wshub_config_last_reload_successful'), legend: '{{instance}}' }],
        },
        {
          title: 'Time since the last successful reload',
          description: 'When were the settings last read?',
          unit: 's',
          stat: {},
          queries: [
            {
              expr: `time() - ${metric('wshub_config_last_reload_success_timestamp_seconds')}`,
              legend: '{{instance}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Memory and descriptors',
      panels: [
        {
          title: 'Resident memory',
          description: 'Does the memory of a process grow?',
          unit: 'bytes',
          queries: [{ expr: metric('process_resident_memory_bytes'), legend: perWorker }],
        },
        {
          title: 'JavaScript heap',
          description: 'Does the JavaScript heap of a process grow?',
          unit: 'bytes',
          queries: [{ expr: metric('nodejs_heap_used_bytes'), legend: perWorker }],
        },
        {
          title: 'Garbage collection',
          description:
            'How much time does garbage collection take? Seconds per second over all processes, by kind.',
          unit: 'percentunit',
          queries: [
            {
              expr: sumBy(['kind'], rate(part('nodejs_gc_duration_seconds', 'sum'))),
              legend: '{{instance}} {{kind}}',
            },
          ],
        },
        {
          title: 'Open descriptors',
          description: 'Are there enough file descriptors? Open ones, and the limit of each process.',
          unit: 'short',
          runbook: 'WshubFdExhaustion',
          queries: [
            { expr: metric('process_open_fds'), legend: perWorker },
            { expr: metric('process_max_fds'), legend: '{{instance}} {{worker}} limit', isLimit: true },
          ],
        },
        {
          title: 'Fast paths that are off',
          description:
            'Does a part that depends on undocumented behaviour of Node or ws not work here? The log has the cost.',
          unit: 'short',
          queries: [{ expr: `1 - ${metric('wshub_fast_path')}`, legend: '{{instance}} {{worker}} {{part}}' }],
        },
        {
          title: 'Dropped log lines',
          description: 'Is the log complete? Lines that standard output did not take: it was full or failed.',
          unit: 'cps',
          queries: [
            { expr: rate(metric('wshub_log_lines_dropped_total')), legend: '{{instance}} {{worker}}' },
          ],
        },
        {
          title: 'Errors of the primary',
          description:
            'Is the primary in trouble? Errors that it survived, and IPC messages that it dropped.',
          unit: 'cps',
          runbook: 'WshubPrimaryErrors',
          queries: [{ expr: rate(metric('wshub_primary_errors_total')), legend: '{{instance}} {{reason}}' }],
        },
      ],
    },
    {
      title: 'Reload and drain',
      panels: [
        {
          title: 'Workers by state',
          description: 'Is a reload in progress, and does it finish?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_workers'), legend: '{{instance}} {{state}}' },
            { expr: metric('wshub_draining'), legend: '{{instance}} draining' },
          ],
        },
        {
          title: 'Connections left to drain',
          description: 'How far has the drain come?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_drain_remaining_connections'), legend: perWorker },
            { expr: rate(metric('wshub_drain_forced_total')), legend: '{{instance}} cut off per second' },
          ],
        },
      ],
    },
    {
      title: 'HTTP and scrapes',
      panels: [
        {
          title: 'HTTP requests',
          description: 'Which requests reach the hub? By method, route and status.',
          unit: 'reqps',
          queries: [
            {
              expr: sumBy(['method', 'route', 'code'], rate(metric('wshub_http_requests_total'))),
              legend: '{{instance}} {{method}} {{route}} {{code}}',
            },
          ],
        },
        {
          title: 'HTTP request duration',
          description: 'How long do HTTP answers take? By route, to the nearest power of ten.',
          unit: 's',
          queries: percentiles('wshub_http_request_duration_seconds', ['route'], [0.99]),
        },
        {
          title: 'Admin actions',
          description: 'Which admin actions run, and do they succeed?',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['action', 'result'], rate(metric('wshub_admin_actions_total'))),
              legend: '{{instance}} {{action}} {{result}}',
            },
          ],
        },
        {
          title: 'Metrics collection',
          description:
            'How long does it take to collect the metrics of all workers? About 1 s if one is silent.',
          unit: 's',
          limits: { orange: 0.9 },
          queries: [{ expr: metric('wshub_metrics_collect_seconds'), legend: '{{instance}}' }],
        },
      ],
    },
  ],
};

export const dashboards: readonly DashboardSpec[] = [overview, workers, runtime];
