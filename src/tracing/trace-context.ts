/**
 * The trace context of a message on a link: `version u8 | trace id 16 | span id 8 | flags u8`, the fields of a W3C traceparent in
 * 26 bytes. It comes from another process, so it is validated.
 */

export const traceContextBytes = 26;
const version = 0;

export interface TraceContext {
  /** 32 lower-case hex digits, not all zero */
  traceId: string;
  /** 16 lower-case hex digits, not all zero */
  spanId: string;
  /** bit 0: sampled */
  flags: number;
}

export function writeTraceContext({ traceId, spanId, flags }: TraceContext): Buffer {
  const block = Buffer.alloc(traceContextBytes);
  block[0] = version;
  block.write(traceId, 1, 'hex');
  block.write(spanId, 17, 'hex');
  block[25] = flags;
  return block;
}

/** Returns the context, or the fault of the block. */
export function readTraceContext(block: Buffer): TraceContext | 'version' | 'decode' {
  if (block.length !== traceContextBytes) return 'decode';
  if (block[0] !== version) return 'version';
  const traceId = block.toString('hex', 1, 17);
  const spanId = block.toString('hex', 17, 25);
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return 'decode';
  return { traceId, spanId, flags: block[25] ?? 0 };
}
