/** Constants of the connections to Redis, in milliseconds unless the name says otherwise. */

/** Most appends, and bytes of appends, of one script: it holds the server for about 3 ms. */
export const maxBatch = { appends: 256, bytes: 256 * 1024 } as const;

/**
 * Channels of one SUBSCRIBE. One command with 50 000 channels held Redis 7.0 for 120 ms; chunks of 512 take 3 ms each.
 */
export const subscribeChunk = 512;

/** A channel without subscribers stays subscribed for this time, since clients often come back. */
export const unsubscribeDelayMs = 1_000;

/** Interval of the renewals of the lease and of the probes. */
export const beatMs = 3_000;
/** A machine without a beat for this time is gone. */
export const leaseMs = 10_000;
/** A command or a probe without an answer for this time means that the connections are dead. */
export const silenceMs = 5_000;

export const connectTimeoutMs = 2_000;
export const reconnect = { firstMs: 50, maxMs: 2_000 } as const;
/** Connections that lived for this time reset the backoff. */
export const stableMs = 10_000;

/** Idempotency keys are kept for this time. */
export const keyTtlMs = 300_000;
/** The last number of a worker is kept for this time: a batch may be sent again when the network is back. */
export const workerTtlMs = 7 * 86_400_000;

/** Most bytes of publications without history that may be on their way to Redis; above it they are dropped. */
export const maxRelayedBytes = 8 * 1024 * 1024;
