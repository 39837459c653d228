/** Starts traces where the environment asks for them. */
import { noTracing, type Tracing, type TracingOptions } from './tracing.ts';

/** Whether the environment asks for traces (OpenTelemetry's own variables). */
export function tracesWanted(env: Readonly<NodeJS.ProcessEnv>): boolean {
  const named = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const disabled = env['OTEL_SDK_DISABLED']?.toLowerCase() === 'true';
  return Boolean(named) && !disabled && env['OTEL_TRACES_EXPORTER'] !== 'none';
}

/** Traces where the environment asks for them. The SDK is loaded only then. */
export async function startTracing(options: TracingOptions): Promise<Tracing> {
  if (!tracesWanted(process.env)) return noTracing;
  const { OtelTracing } = await import('./otel.ts');
  return new OtelTracing(options);
}
