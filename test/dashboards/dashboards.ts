/** The dashboards, from the general to the specific. `npm run dashboards` writes them to dashboards/*.json. */
import { metric, part, percentiles, rate, sumBy, type DashboardSpec } from './spec.ts';

const overview: DashboardSpec = {
  uid: 'wshub-overview',
  title: 'wshub / Overview',
  description: 'What do clients feel?',
  rows: [
    {
      title: 'At a glance',
      panels: [
        {
          title: 'Connections',
          description: 'How many clients are connected? Over all workers.',
          unit: 'short',
          stat: {},
          queries: [{ expr: sumBy([], metric('wshub_connections')), legend: '{{instance}}' }],
        },
        {
          title: 'Publications',
          description: 'How much do they say? Messages accepted a second, from clients, HTTP and handlers.',
          unit: 'mps',
          stat: {},
          queries: [
            { expr: sumBy([], rate(metric('wshub_messages_received_total'))), legend: '{{instance}}' },
          ],
        },
        {
          title: 'Deliveries',
          description: 'How much do they hear? Messages written to clients a second, one per recipient.',
          unit: 'mps',
          stat: {},
          queries: [
            { expr: sumBy([], rate(metric('wshub_messages_delivered_total'))), legend: '{{instance}}' },
          ],
        },
        {
          title: 'Slower than 100 ms',
          description:
            'Is the objective kept? Share of deliveries that took longer than 100 ms; the objective is 0.1 %.',
          unit: 'percentunit',
          stat: { redFrom: 0.001 },
          queries: [
            {
              expr:
                `1 - ${sumBy([], rate(part('wshub_delivery_latency_seconds', 'bucket', 'le="0.1"')))}` +
                ` / ${sumBy([], rate(part('wshub_delivery_latency_seconds', 'count')))}`,
              legend: '{{instance}}',
            },
          ],
        },
        {
          title: 'Messages',
          description:
            'How does the traffic move? Publications by source, and deliveries by the way they came.',
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
            'How long does a message take through the hub? From its reading to its last write in a worker; local: published there, relay: in another worker.',
          unit: 's',
          queries: percentiles('wshub_delivery_latency_seconds', ['route']),
        },
      ],
    },
    {
      title: 'What goes wrong',
      panels: [
        {
          title: 'Dropped messages',
          description: 'Is anything lost, and where? By reason; all are 0 when all is well.',
          unit: 'mps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_messages_dropped_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Messages answered with an error',
          description: 'What do clients send that is not accepted? By reason.',
          unit: 'mps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_message_errors_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Closed connections',
          description:
            'Why do connections end? By reason: the hub’s close codes, the client’s own close, or none (no_pong, abnormal).',
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
          title: 'Refused upgrades',
          description: 'Who is not let in, and why?',
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
      title: 'Coming and going',
      panels: [
        {
          title: 'Opened and closed connections',
          description: 'Do clients stay? Two lines that rise together are a reconnect storm.',
          unit: 'cps',
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
        {
          title: 'Time to connected',
          description: 'How long does a client wait to get in? From the upgrade request to “connected”.',
          unit: 's',
          queries: percentiles('wshub_handshake_duration_seconds', []),
        },
        {
          title: 'Recipients of a publication',
          description: 'How wide are the channels? Recipients per publication in one worker.',
          unit: 'short',
          queries: percentiles('wshub_publish_fanout_recipients', []),
        },
        {
          title: 'Payload bytes',
          description: 'How much is it in bytes? Read from clients and written to them.',
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
          description: 'Are all there? Workers that are ready, against those that the settings ask for.',
          unit: 'short',
          stat: {},
          queries: [
            { expr: metric('wshub_workers', 'state="ready"'), legend: '{{instance}} ready' },
            { expr: metric('wshub_workers_expected'), legend: '{{instance}} expected' },
          ],
        },
        {
          title: 'Replaced workers',
          description: 'Do they die? Replacements in the last hour, by reason.',
          unit: 'short',
          stat: {},
          queries: [
            {
              expr: sumBy(['reason'], `increase(${metric('wshub_worker_restarts_total')}[1h])`),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
        {
          title: 'Answers',
          description: 'Which worker answers its primary? 1: it does, 0: it stays silent.',
          unit: 'short',
          queries: [{ expr: metric('wshub_worker_up'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Busy share of the event loop',
          description: 'Which worker is full? Near 1 everything on it waits.',
          unit: 'percentunit',
          queries: [{ expr: metric('wshub_eventloop_utilization_ratio'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Event loop lag',
          description: 'Which worker stands still? How late timers ran, 99th percentile of 10 s.',
          unit: 's',
          queries: [{ expr: metric('wshub_eventloop_lag_p99_seconds'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'CPU',
          description: 'Who uses the processors? Cores per process.',
          unit: 'short',
          queries: [{ expr: rate(metric('process_cpu_seconds_total')), legend: '{{instance}} {{worker}}' }],
        },
      ],
    },
    {
      title: 'Load by worker',
      panels: [
        {
          title: 'Connections by worker',
          description: 'Is the load spread evenly?',
          unit: 'short',
          queries: [{ expr: metric('wshub_connections'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Channels by worker',
          description:
            'How many channels does each serve? One channel can be on several: do not add them up.',
          unit: 'short',
          queries: [{ expr: metric('wshub_channels'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Bytes that wait for clients',
          description: 'Do clients read? All that waits in a worker, and the most that waits for one client.',
          unit: 'bytes',
          queries: [
            { expr: metric('wshub_send_buffer_bytes'), legend: '{{instance}} {{worker}} all' },
            { expr: metric('wshub_send_buffer_max_bytes'), legend: '{{instance}} {{worker}} slowest' },
          ],
        },
        {
          title: 'Slow consumers',
          description:
            'How many clients read too slowly? Those for which more bytes wait than the soft limit allows.',
          unit: 'short',
          queries: [{ expr: metric('wshub_slow_consumers'), legend: '{{instance}} {{worker}}' }],
        },
      ],
    },
    {
      title: 'Relay between workers',
      panels: [
        {
          title: 'Relay latency',
          description:
            'How long from one worker to another? From the link’s taking it to the other’s decoding it.',
          unit: 's',
          queries: percentiles('wshub_relay_latency_seconds', []),
        },
        {
          title: 'Links',
          description: 'Is every worker linked to all others? One less than there are workers.',
          unit: 'short',
          queries: [{ expr: metric('wshub_relay_peers'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Bytes that wait for other workers',
          description: 'Does a worker not read its links?',
          unit: 'bytes',
          queries: [{ expr: metric('wshub_relay_queue_bytes'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Relay traffic',
          description: 'How much goes between workers?',
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
          description: 'How many frames go between workers? Bytes per frame tell whether batches grow.',
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
          description: 'Do links break? By reason; all are 0 when all is well.',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['reason'], rate(metric('wshub_relay_errors_total'))),
              legend: '{{instance}} {{reason}}',
            },
          ],
        },
      ],
    },
  ],
};

const runtime: DashboardSpec = {
  uid: 'wshub-runtime',
  title: 'wshub / Runtime and lifecycle',
  description: 'Is the hub itself healthy: memory, descriptors, reloads, versions?',
  rows: [
    {
      title: 'What runs',
      panels: [
        {
          title: 'Version',
          description: 'What runs where?',
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
          title: 'Age of workers',
          description: 'Since when does each worker run? A young one among old ones was replaced.',
          unit: 's',
          stat: {},
          queries: [
            {
              expr: `time() - ${metric('wshub_worker_start_time_seconds')}`,
              legend: '{{instance}} {{worker}}',
            },
          ],
        },
        {
          title: 'Last reload',
          description: 'Were the settings good when last read? 1: yes, 0: the hub runs on with the old ones.',
          unit: 'short',
          stat: { redBelow: 1 },
          queries: [{ expr: metric('wshub_config_last_reload_successful'), legend: '{{instance}}' }],
        },
        {
          title: 'Since the last good reload',
          description: 'When were good settings last read?',
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
          description: 'Does memory grow?',
          unit: 'bytes',
          queries: [{ expr: metric('process_resident_memory_bytes'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'JavaScript heap',
          description: 'Is it JavaScript that grows?',
          unit: 'bytes',
          queries: [{ expr: metric('nodejs_heap_used_bytes'), legend: '{{instance}} {{worker}}' }],
        },
        {
          title: 'Time in the garbage collector',
          description: 'Does the collector hold things up? Seconds a second, over all processes, by kind.',
          unit: 'percentunit',
          queries: [
            {
              expr: sumBy(['kind'], rate(part('nodejs_gc_duration_seconds', 'sum'))),
              legend: '{{instance}} {{kind}}',
            },
          ],
        },
        {
          title: 'Used descriptors',
          description: 'Are there enough file descriptors? Share of those that the process may open.',
          unit: 'percentunit',
          queries: [
            {
              expr: `${metric('process_open_fds')} / ${metric('process_max_fds')}`,
              legend: '{{instance}} {{worker}}',
            },
          ],
        },
      ],
    },
    {
      title: 'Drain',
      panels: [
        {
          title: 'Workers by state',
          description: 'Is a reload on, and does it come to an end?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_workers'), legend: '{{instance}} {{state}}' },
            { expr: metric('wshub_draining'), legend: '{{instance}} drain is on' },
          ],
        },
        {
          title: 'Connections left to drain',
          description: 'How far is the drain?',
          unit: 'short',
          queries: [
            { expr: metric('wshub_drain_remaining_connections'), legend: '{{instance}} {{worker}}' },
            { expr: rate(metric('wshub_drain_forced_total')), legend: '{{instance}} cut off a second' },
          ],
        },
      ],
    },
    {
      title: 'HTTP and the scrape itself',
      panels: [
        {
          title: 'HTTP requests',
          description: 'Who asks the hub what? By route and status.',
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
          description: 'How long do answers take? By route; to the nearest power of ten, not more exactly.',
          unit: 's',
          queries: percentiles('wshub_http_request_duration_seconds', ['route'], [0.99]),
        },
        {
          title: 'Admin actions',
          description: 'What do operators do, and does it work?',
          unit: 'cps',
          queries: [
            {
              expr: sumBy(['action', 'result'], rate(metric('wshub_admin_actions_total'))),
              legend: '{{instance}} {{action}} {{result}}',
            },
          ],
        },
        {
          title: 'Time to collect',
          description:
            'What does a scrape cost? Seconds to collect from all workers; about 1 when one stays silent.',
          unit: 's',
          queries: [{ expr: metric('wshub_metrics_collect_seconds'), legend: '{{instance}}' }],
        },
      ],
    },
  ],
};

export const dashboards: readonly DashboardSpec[] = [overview, workers, runtime];
