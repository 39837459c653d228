/**
 * Constants that tune batching and fan-out. The figures are of the machine in docs/performance.md (2 cores);
 * docs/performance-log.md has the experiments. After a change run `bench:compare` on the workloads that are named here.
 */

/**
 * Length of a channel's batching window, in ms for each member on the whole hub. A write takes about 8 µs per member: with
 * this window one channel takes a quarter of a worker's time at most. hot, broadcast, saturate.
 */
export const delayMsPerMember = 0.03;
/** Shortest window, in ms: timers are no finer. */
export const minDelayMs = 1;
/**
 * Longest time, in ms, by which the window of local members ends after the window of siblings, so that their
 * publications leave in the same write. workers (2 and 8 on 2 cores).
 */
export const maxMemberOffsetMs = 2;
/** A batch of this many bytes does not wait for the end of the window. broadcast. */
export const maxBatchBytes = 64 * 1024;

/** Largest audience that is written to without slices. 1 000 stalled readers (bench/tools/stalled-latency.ts), broadcast. */
export const smallAudience = 64;
/**
 * Time after which a flush leaves the rest of large audiences to the next turn, in ms. p99 of the other clients beside
 * 1 000 stalled readers: 9 ms, without slices 70 to 115; broadcast 12.9 µs per delivery, without slices 12.8.
 */
export const sliceMs = 3;
/** Members that are written between two reads of the clock. broadcast. */
export const membersPerClockRead = 8;
/** A channel with more bytes behind its batch in progress is congested: its publishers pause. hog. */
export const congestedBytes = 256 * 1024;
/** Above this, publishers that cannot pause (handlers) wait until the batch in progress is written. hog. */
export const maxWaitingBytes = 4 * 1024 * 1024;
