/**
 * Constants that tune the links between workers. The figures are of the machine in docs/performance.md (2 cores);
 * docs/performance-log.md has the experiments. After a change run `bench:compare` on the workloads that are named here.
 */

/** Longest time, in ms, that new interest waits for more, so that joins share the wakes of the barrier. churn. */
export const maxInterestDelayMs = 5;
/** Delay, in ms, that is forgone after a quiet time: then 20 joins, one after the other, do not wait. churn, idle. */
export const forgoneMs = 100;
/** Entries in one counts frame. Bounds the frame, not tuned. */
export const countsChunk = 10_000;

/** Bytes that a link may buffer for a sibling that does not read. Bounds memory, not tuned. */
export const linkMaxBytes = 64 * 1024 * 1024;
/** Bytes in the socket above which publications wait per channel; all other frames stand behind these. hog, pairs. */
export const windowBytes = 512 * 1024;
/** Longest time, in ms, that a frame which may be deferred waits for others to share its write. pairs, rooms. */
export const maxDeferMs = 20;

/** Bytes of one channel that are taken from its queue before the next channel has its turn. hog. */
export const shareBytes = 64 * 1024;
/** A channel with more queued bytes is congested, until fewer than a quarter of them are queued. hog. */
export const congestedBytes = 256 * 1024;

/** First size of an encoder's buffer, in bytes. pairs. */
export const initialBytes = 64 * 1024;
/** A buffer that grew beyond this is given back after its write. Bounds memory, not tuned. */
export const maxKeptBytes = 1024 * 1024;
