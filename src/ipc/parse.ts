/**
 * Validates every message between primary and worker. Workers run user code, which can send anything over the same channel:
 * messages that are not of messages.ts are dropped, counted, and logged at a limited rate.
 */
import { z } from 'zod';
import { catalogue, type MetricName } from '../metrics/catalogue.ts';
import type { Snapshot } from '../metrics/snapshot.ts';
import { errors, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { ToPrimary, ToWorker } from './messages.ts';

const count = z.number().min(0);
const index = z.int().min(0);

const sample = z.object({
  labels: z.record(z.string(), z.union([z.string(), z.number()])),
  value: z.number(),
  metricName: z.string().optional(),
});
const snapshot = z.partialRecord(z.enum(Object.keys(catalogue) as MetricName[]), z.array(sample));

const action = z.string();
const trace = z.string().optional();
const refusal = z.object({
  kind: z.literal('refusal'),
  id: index,
  code: z.enum(Object.keys(errors) as ErrorCode[]),
  message: z.string(),
});

const toPrimary = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('meshListening') }),
  z.object({ kind: z.literal('ready') }),
  z.object({ kind: z.literal('clients'), count, soon: z.boolean() }),
  z.object({ kind: z.literal('filled'), index }),
  z.object({ kind: z.literal('failed'), message: z.string(), operator: z.boolean() }),
  z.object({ kind: z.literal('pong'), connections: count, linked: z.boolean(), rssBytes: count }),
  z.object({ kind: z.literal('counted'), snapshot }),
  z.object({ kind: z.literal('drained'), forced: count }),
  z.object({ kind: z.literal('part'), id: index, part: z.unknown() }),
  refusal,
  z.object({ kind: z.literal('request'), id: index, action, input: z.unknown(), trace }),
]);

const isObject = z.custom<object>((value) => typeof value === 'object' && value !== null);

const toWorker = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('start'), options: z.looseObject({ settings: isObject, identity: isObject }) }),
  z.object({
    kind: z.literal('peers'),
    peers: z.array(z.object({ workerId: z.string(), path: z.string() })),
  }),
  z.object({ kind: z.literal('ping') }),
  z.object({
    kind: z.literal('listen'),
    id: index,
    index,
    address: z.object({ host: z.string(), port: index }).optional(),
  }),
  z.object({ kind: z.literal('release'), index }),
  z.object({ kind: z.literal('quota'), index, clients: count }),
  z.object({ kind: z.literal('ask'), id: index, action, input: z.unknown(), trace }),
  z.object({ kind: z.literal('collect'), id: index }),
  z.object({ kind: z.literal('answer'), id: index, answer: z.unknown() }),
  refusal,
  z.object({
    kind: z.literal('drain'),
    order: z.looseObject({
      reason: z.enum(['restarting', 'going_away']),
      spreadMs: count,
      closeTimeoutMs: count,
    }),
  }),
]);

/** Whether the admin action exists and the input is valid for it. */
export type IsCall = (action: string, input: unknown) => boolean;

/** Parses a worker's message; null: invalid. */
export function parseToPrimary(value: unknown, isCall: IsCall): ToPrimary | null {
  const parsed = toPrimary.safeParse(value);
  return parsed.success && hasInput(parsed.data, isCall) ? (parsed.data as ToPrimary) : null;
}

/** Parses a message of the primary; null: invalid. */
export function parseToWorker(value: unknown, isCall: IsCall): ToWorker | null {
  const parsed = toWorker.safeParse(value);
  return parsed.success && hasInput(parsed.data, isCall) ? (parsed.data as ToWorker) : null;
}

/** Parses a snapshot; null: invalid. */
export function parseSnapshot(value: unknown): Snapshot | null {
  const parsed = snapshot.safeParse(value);
  return parsed.success ? (parsed.data as Snapshot) : null;
}

/** Whether a message about an action has a valid input for it. */
function hasInput(message: object, isCall: IsCall): boolean {
  const { action, input } = message as { action?: string; input?: unknown };
  return action === undefined || isCall(action, input);
}

const complaintIntervalMs = 10_000;

/**
 * Returns a function that logs dropped messages, at most once in 10 s, with their number since the last line.
 * @param sender fields of the line that identify the sender
 */
export function complaints(log: Log, sender: Readonly<Record<string, unknown>>): () => void {
  let dropped = 0;
  let loggedAt = -Infinity;
  return () => {
    dropped += 1;
    const now = performance.now();
    if (now - loggedAt < complaintIntervalMs) return;
    const advice = 'look for process.send() in the handlers module';
    log.warn({ ...sender, dropped, advice }, 'IPC message dropped: it is unknown or malformed');
    loggedAt = now;
    dropped = 0;
  };
}
