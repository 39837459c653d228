/** The part of a trace that goes with a message: one message in a thousand has it. */
export interface Traced {
  /** see trace-context.ts */
  readonly traceContext: Buffer;
  /** when this worker received the message, in seconds of clock.ts */
  startedAt: number;
  /** seconds on the link from the sibling; null where the message was published in this worker */
  relaySeconds: number | null;
}

/** Called with a traced message when all of this worker's subscribers have been written to. */
export type OnTraced = (traced: Traced, channel: string, recipients: number, writtenAt: number) => void;
