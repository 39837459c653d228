/** The HTTP metrics of one process. */
import type { HttpCounters } from './http-counters.ts';
import type { MetricFrom } from './catalogue.ts';
import { histogramSamples, type Sample } from './snapshot.ts';

export function httpSamples({ requests, actions }: HttpCounters): Record<MetricFrom<'http'>, Sample[]> {
  const duration = 'wshub_http_request_duration_seconds';
  return {
    wshub_http_requests_total: requests.map(({ method, route, code, count }) => ({
      labels: { method, route, code },
      value: count,
    })),
    [duration]: requests.flatMap(({ method, route, code, seconds }) =>
      seconds ? histogramSamples(duration, seconds, { method, route, code }) : [],
    ),
    wshub_admin_actions_total: actions.map(({ action, result, count }) => ({
      labels: { action, result },
      value: count,
    })),
  };
}
