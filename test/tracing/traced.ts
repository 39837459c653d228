/** A hub whose traces a test receives: the collector, the environment that names it, and the wait for spans. */
import type { TestContext } from 'node:test';
import { eventually } from '../support.ts';
import { OtlpSink, type SinkSpan } from './otlp-sink.ts';

export async function sinkFor(t: TestContext): Promise<OtlpSink> {
  const sink = await OtlpSink.start();
  t.after(() => {
    sink.close();
  });
  return sink;
}

export function tracedEnv(sink: OtlpSink): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
}

/** Waits for at least this number of spans, and at least one. */
export function spans(sink: OtlpSink, name: string, count: number): Promise<[SinkSpan, ...SinkSpan[]]> {
  return eventually(
    () => {
      const found = sink.named(name);
      return found.length >= count ? (found as [SinkSpan, ...SinkSpan[]]) : undefined;
    },
    `${count} spans "${name}", there are ${sink.spans.map((span) => span.name).join(', ')}`,
  );
}
