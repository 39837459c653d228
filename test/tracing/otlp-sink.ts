/** An OTLP/HTTP receiver for tests: takes protobuf, keeps the spans. Reads only the fields that the tests ask for. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SinkSpan {
  /** attributes of the process that sent it */
  resource: Record<string, unknown>;
  traceId: string;
  spanId: string;
  /** empty: a root */
  parentSpanId: string;
  name: string;
  /** 2 server, 4 producer, 5 consumer */
  kind: number;
  /** nanoseconds of Unix time */
  start: bigint;
  end: bigint;
  attributes: Record<string, unknown>;
  links: { traceId: string; spanId: string }[];
  /** 2: error */
  status: number;
}

export class OtlpSink {
  readonly spans: SinkSpan[] = [];
  /** paths that were asked for */
  readonly paths = new Set<string>();
  /** what came, as it came */
  readonly bodies: Buffer[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<OtlpSink> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      sink.paths.add(request.url ?? '');
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks);
        sink.bodies.push(body);
        sink.spans.push(...spansOf(body));
        response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      });
    });
    const sink = new OtlpSink(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return sink;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  named(name: string): SinkSpan[] {
    return this.spans.filter((span) => span.name === name);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

type Field = { number: number; bytes: Buffer } | { number: number; value: bigint; bytes: Buffer };

/** The fields of one protobuf message (wire types: varint, fixed64, length-delimited, fixed32). */
function* fieldsOf(message: Buffer): Generator<Field> {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('a protobuf message ends in a varint');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const key = Number(varint());
    const number = key >>> 3;
    const type = key & 7;
    if (type === 0) {
      yield { number, value: varint(), bytes: Buffer.alloc(0) };
    } else {
      const length = type === 2 ? Number(varint()) : type === 1 ? 8 : 4;
      yield { number, bytes: message.subarray(at, (at += length)) };
    }
  }
}

function all(message: Buffer, number: number): Field[] {
  return [...fieldsOf(message)].filter((field) => field.number === number);
}

function bytes(message: Buffer, number: number): Buffer {
  return all(message, number).at(-1)?.bytes ?? Buffer.alloc(0);
}

function integer(message: Buffer, number: number): number {
  const field = all(message, number).at(-1);
  return field && 'value' in field ? Number(field.value) : 0;
}

function attributes(message: Buffer, number: number): Record<string, unknown> {
  return Object.fromEntries(
    all(message, number).map(({ bytes: pair }) => [bytes(pair, 1).toString(), anyValue(bytes(pair, 2))]),
  );
}

function anyValue(message: Buffer): unknown {
  const [field] = fieldsOf(message);
  if (!field) return undefined;
  if (field.number === 1) return field.bytes.toString();
  if (field.number === 4) return field.bytes.readDoubleLE();
  return 'value' in field ? Number(field.value) : undefined;
}

function spansOf(request: Buffer): SinkSpan[] {
  return all(request, 1).flatMap(({ bytes: resourceSpans }) => {
    const resource = attributes(bytes(resourceSpans, 1), 1);
    const scopes = all(resourceSpans, 2);
    return scopes.flatMap(({ bytes: scope }) => all(scope, 2).map((span) => spanOf(span.bytes, resource)));
  });
}

function spanOf(span: Buffer, resource: Record<string, unknown>): SinkSpan {
  return {
    resource,
    traceId: bytes(span, 1).toString('hex'),
    spanId: bytes(span, 2).toString('hex'),
    parentSpanId: bytes(span, 4).toString('hex'),
    name: bytes(span, 5).toString(),
    kind: integer(span, 6),
    start: bytes(span, 7).readBigUInt64LE(),
    end: bytes(span, 8).readBigUInt64LE(),
    attributes: attributes(span, 9),
    links: all(span, 13).map(({ bytes: link }) => ({
      traceId: bytes(link, 1).toString('hex'),
      spanId: bytes(link, 2).toString('hex'),
    })),
    status: integer(bytes(span, 15), 3),
  };
}
