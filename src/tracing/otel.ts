/**
 * Tracing with OpenTelemetry's SDK: the only file that uses it, loaded only when traces are on. Spans are created when their
 * operation is over, with explicit times: no state is kept per message or recipient.
 */
import { randomUUID } from 'node:crypto';
import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Context,
  type HrTime,
  type Span,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api';
import { parseTraceParent } from '@opentelemetry/core';
import {
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { Traced } from './traced.ts';
import { now } from '../platform/clock.ts';
import { messageOf } from '../platform/errors.ts';
import { readTraceContext, writeTraceContext } from './trace-context.ts';
import type { PublishSpan, RequestSpan, Tracing, TracingOptions } from './tracing.ts';

/** Time limit for the SDK to send its spans at the end. */
const shutdownMs = 3_000;
const template = '<channel>';
/** Minimum interval of complaints about an unreachable collector. */
const complaintMs = 60_000;

const ratioSampler = 'parentbased_traceidratio';

/** Defaults of OpenTelemetry's variables. */
function setDefaults(env: NodeJS.ProcessEnv): void {
  env['OTEL_METRICS_EXPORTER'] = 'none'; // the SDK would export both by itself
  env['OTEL_LOGS_EXPORTER'] = 'none';
  if (env['OTEL_TRACES_SAMPLER']) return;
  env['OTEL_TRACES_SAMPLER'] = ratioSampler;
  env['OTEL_TRACES_SAMPLER_ARG'] ??= '0.001';
}

/**
 * The share of root traces that are kept by the sampler `parentbased_traceidratio`. It is drawn before any work for a message: for
 * the other 999 of a thousand, the SDK's sampler would cost 12 % of the CPU in the bench's hot. 1: the SDK's sampler decides.
 */
function ratioOf(env: NodeJS.ProcessEnv): number {
  if (env['OTEL_TRACES_SAMPLER'] !== ratioSampler) return 1;
  const ratio = Number(env['OTEL_TRACES_SAMPLER_ARG'] ?? 1);
  return ratio >= 0 && ratio <= 1 ? ratio : 1; // like the SDK for an invalid ratio
}

export class OtelTracing implements Tracing {
  readonly on = true;
  readonly #options: TracingOptions;
  readonly #sdk: NodeSDK;
  readonly #tracer: Tracer;
  /** see ratioOf */
  readonly #ratio: number;

  constructor(options: TracingOptions) {
    this.#options = options;
    setDefaults(process.env);
    this.#ratio = ratioOf(process.env);
    this.#sdk = new NodeSDK({
      instrumentations: [],
      // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME take precedence.
      resourceDetectors: [resourceAttributesEnvDetector, serviceNameEnvDetector],
      resource: resourceFromAttributes({
        'service.name': 'wshub',
        'service.version': options.version,
        'service.instance.id': randomUUID(),
        'process.pid': process.pid,
        'wshub.worker': options.worker,
      }),
    });
    const sampler = process.env['OTEL_TRACES_SAMPLER'];
    if (sampler === ratioSampler) process.env['OTEL_TRACES_SAMPLER'] = 'parentbased_always_on';
    this.#sdk.start();
    process.env['OTEL_TRACES_SAMPLER'] = sampler; // workers are forked with this environment
    listenToSdk(options.complain);
    this.#tracer = trace.getTracer('wshub', options.version);
  }

  publication(channel: string, readAt: number, bytes: number, traceparent: unknown): PublishSpan | null {
    const parent = this.#trusted(traceparent);
    if (!parent && !this.#drawn()) return null;
    return this.#publish(channel, readAt, bytes, parent);
  }

  publicationOf(request: string, channel: string, readAt: number, bytes: number): PublishSpan | null {
    const parent = parseTraceparent(request);
    return parent && this.#publish(channel, readAt, bytes, parent);
  }

  #publish(channel: string, readAt: number, bytes: number, parent: SpanContext | null): PublishSpan | null {
    const attributes = { ...this.#messaging('send', channel), 'messaging.message.body.size': bytes };
    const span = this.#start(`publish ${template}`, SpanKind.PRODUCER, readAt, parent, attributes);
    if (!span) return null;
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      traceId,
      block: writeTraceContext({ traceId, spanId, flags: traceFlags }),
      end: (error) => {
        if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: messageOf(error) });
        // After the flush of this turn, so that the local delivery is within the span.
        setImmediate(() => {
          span.end(this.#time(now()));
        });
      },
    };
  }

  readonly appended = (
    { traceContext }: Traced,
    channel: string,
    startedAt: number,
    duplicate: 'key' | 'retry' | null,
  ): void => {
    const block = readTraceContext(traceContext);
    if (typeof block === 'string') return;
    const { traceId, spanId, flags } = block;
    const attributes: Attributes = { 'wshub.worker': this.#options.worker };
    if (this.#options.traceChannels) attributes['messaging.destination.name'] = channel;
    if (duplicate !== null) attributes['wshub.duplicate'] = duplicate;
    const publish = { traceId, spanId, traceFlags: flags };
    this.#start(`append ${template}`, SpanKind.CLIENT, startedAt, publish, attributes)?.end(
      this.#time(now()),
    );
  };

  resumed(
    upgrade: string,
    channel: string,
    startedAt: number,
    recovered: boolean | null,
    publications: number,
  ): void {
    const parent = parseTraceparent(upgrade);
    const attributes: Attributes = { 'wshub.publications': publications };
    if (this.#options.traceChannels) attributes['messaging.destination.name'] = channel;
    if (recovered !== null) attributes['wshub.recovered'] = recovered;
    this.#start(`resume ${template}`, SpanKind.CLIENT, startedAt, parent, attributes)?.end(this.#time(now()));
  }

  readonly delivered = (traced: Traced, channel: string, recipients: number, writtenAt: number): void => {
    const block = readTraceContext(traced.traceContext);
    if (typeof block === 'string') {
      this.#options.errors[block] += 1;
      return;
    }
    const { traceId, spanId, flags } = block;
    const publish = { traceId, spanId, traceFlags: flags, isRemote: traced.relaySeconds !== null };
    const attributes: Attributes = {
      ...this.#messaging('process', channel),
      'wshub.recipients': recipients,
      'wshub.worker': this.#options.worker,
    };
    if (traced.relaySeconds !== null) attributes['wshub.relay.latency'] = traced.relaySeconds;
    this.#start(
      `process ${template}`,
      SpanKind.CONSUMER,
      traced.startedAt,
      publish,
      attributes,
      publish,
    )?.end(this.#time(writtenAt));
  };

  upgrade(channel: string | null, startedAt: number, traceparent: unknown): RequestSpan | null {
    const attributes: Attributes = { 'http.request.method': 'GET', 'http.route': `/${template}` };
    if (channel !== null && this.#options.traceChannels) attributes['messaging.destination.name'] = channel;
    const parent = this.#trusted(traceparent);
    return this.#request(`GET /${template}`, SpanKind.SERVER, startedAt, parent, attributes);
  }

  admin(method: string, route: string): RequestSpan | null {
    const attributes = { 'http.request.method': method, 'http.route': route };
    return this.#request(`${method} ${route}`, SpanKind.SERVER, now(), null, attributes);
  }

  control(action: string, traceparent: string): RequestSpan | null {
    const admin = parseTraceparent(traceparent);
    if (!admin) return null;
    const attributes = { 'wshub.action': action, 'wshub.worker': this.#options.worker };
    return this.#request(`control ${action}`, SpanKind.CONSUMER, now(), admin, attributes, admin);
  }

  async shutdown(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, shutdownMs)));
    // An unreachable collector must not delay the end of the hub.
    await Promise.race([this.#sdk.shutdown().catch(() => undefined), late]);
    clearTimeout(timer);
  }

  #messaging(type: 'send' | 'process', channel: string): Attributes {
    const attributes: Attributes = {
      'messaging.system': 'wshub',
      'messaging.operation.type': type,
      'messaging.operation.name': type === 'send' ? 'publish' : 'process',
      'messaging.destination.template': template,
    };
    if (this.#options.traceChannels) attributes['messaging.destination.name'] = channel;
    return attributes;
  }

  #request(
    name: string,
    kind: SpanKind,
    startedAt: number,
    parent: SpanContext | null,
    attributes: Attributes,
    link: SpanContext | null = null,
  ): RequestSpan | null {
    if (!parent && !this.#drawn()) return null;
    const span = this.#start(name, kind, startedAt, parent, attributes, link);
    if (!span) return null;
    const { traceId, spanId, traceFlags } = span.spanContext();
    return {
      traceId,
      traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
      end: (status) => {
        if (kind === SpanKind.SERVER) span.setAttribute('http.response.status_code', status);
        if (status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        span.end(this.#time(now()));
      },
    };
  }

  /** Null: not sampled. */
  #start(
    name: string,
    kind: SpanKind,
    startedAt: number,
    parent: SpanContext | null,
    attributes: Attributes,
    link: SpanContext | null = null,
  ): Span | null {
    const context: Context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
    const links = link ? [{ context: link }] : [];
    const startTime = this.#time(startedAt);
    const span = this.#tracer.startSpan(name, { kind, attributes, links, startTime }, context);
    return span.isRecording() ? span : null;
  }

  /** Whether a root trace may be sampled. */
  #drawn(): boolean {
    return this.#ratio === 1 || Math.random() < this.#ratio;
  }

  #trusted(traceparent: unknown): SpanContext | null {
    return this.#options.trustTraceparent ? parseTraceparent(traceparent) : null;
  }

  /** Converts seconds of clock.ts to OpenTelemetry's time. */
  #time(seconds: number): HrTime {
    const unix = seconds + this.#options.unixOffset;
    return [Math.floor(unix), Math.floor((unix % 1) * 1e9)];
  }
}

/** Logs errors of the SDK, which would otherwise be lost, or printed on standard output between log lines. */
function listenToSdk(complain: (complaint: string) => void): void {
  let complainedAt = -Infinity;
  const error = (message: string) => {
    if (performance.now() - complainedAt < complaintMs) return;
    complainedAt = performance.now();
    complain(/"message":"((?:[^"\\]|\\.)*)"/.exec(message)?.[1] ?? message); // errors come as JSON with their stack
  };
  const silent = () => undefined;
  const logger = { error, warn: silent, info: silent, debug: silent, verbose: silent };
  diag.setLogger(logger, { logLevel: DiagLogLevel.ERROR, suppressOverrideMessage: true });
}

/** Null: not a valid traceparent (W3C Trace Context, section 3.2). */
export function parseTraceparent(value: unknown): SpanContext | null {
  const parent = typeof value === 'string' ? parseTraceParent(value) : null;
  return parent && { ...parent, isRemote: true };
}
