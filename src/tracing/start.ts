/** Starts tracing if the environment asks for it. */
import { noTracing, type Tracing, type TracingOptions } from './tracing.ts';

/** Whether the environment asks for traces (OpenTelemetry's own variables). */
export function tracesWanted(env: Readonly<NodeJS.ProcessEnv>): boolean {
  const named = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const disabled = env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  return Boolean(named) && !disabled && env['OTEL_TRACES_EXPORTER'] !== 'none';
}

/** Returns tracing with the SDK if the environment asks for it; otherwise the SDK is not loaded. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  if (!tracesWanted(process.env)) return noTracing;
  const { OtelTracing } = await import('./otel.ts');
  return new OtelTracing(options);
}
