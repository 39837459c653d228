/** The response of `/metrics`: the metrics of all processes as text. */
import type { Collector } from './collector.ts';
import { expose, openMetricsType, textType } from './exposition.ts';

export function scraped(collector: Collector) {
  return {
    types: [textType, openMetricsType] as [string, string],
    text: async (type: string) =>
      expose(await collector.collect(), type === openMetricsType ? openMetricsType : textType),
  };
}
