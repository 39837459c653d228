/** The trace data of a message; one message in a thousand has it. */
export interface Traced {
  /** see trace-context.ts */
  readonly traceContext: Buffer;
  /** when this worker received the message, in seconds of clock.ts */
  startedAt: number;
  /** seconds on the link from the sibling; null: published in this worker */
  relaySeconds: number | null;
}

/**
 * Called when the broker has stored a traced message.
 * @param startedAt when it was sent to the broker, in seconds of clock.ts
 */
export type OnAppended = (
  traced: Traced,
  channel: string,
  startedAt: number,
  duplicate: 'key' | 'retry' | null,
) => void;

/** Called with a traced message after the last write to this worker's subscribers. */
export type OnTraced = (traced: Traced, channel: string, recipients: number, writtenAt: number) => void;
