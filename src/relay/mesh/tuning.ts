/**
 * Constants that tune the links between workers. The figures are of the machine in docs/performance.md (2 cores);
 * docs/performance-log.md has the experiments. After a change run `bench:compare` on the workloads that are named here.
 */

/** Longest delay, in ms, of new interest, so that joins share the acks of the barrier. churn. */
export const maxInterestDelayMs = 5;
/** Credit, in ms, after a quiet time: about 20 joins in a row are not delayed. churn, idle. */
export const forgoneMs = 100;
/** Channels that are announced to a new sibling in one turn of the event loop: about 4 ms. Not tuned. */
export const announceChunk = 2_000;
/** Most entries in one counts frame. Limits the frame, not tuned. */
export const countsChunk = 10_000;

/** Most bytes that a link buffers for a slow sibling. Limits memory, not tuned. */
export const linkMaxBytes = 64 * 1024 * 1024;
/** Bytes in the socket above which publications wait per channel; all other frames overtake them. hog, pairs. */
export const windowBytes = 512 * 1024;
/** Longest delay, in ms, of a frame that may share a later write. pairs, rooms. */
export const maxDeferMs = 20;

/** Bytes that are sent from the queue of one channel before the next channel has its turn. hog. */
export const shareBytes = 64 * 1024;
/** A channel with more queued bytes is congested, until less than a quarter of this is queued. hog. */
export const congestedBytes = 256 * 1024;

/** First size of an encoder's buffer, in bytes. pairs. */
export const initialBytes = 64 * 1024;
/** A larger buffer is released after its write. Limits memory, not tuned. */
export const maxKeptBytes = 1024 * 1024;
