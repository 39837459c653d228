/**
 * The frames between a worker and the broker: `length u32 | version u8 | type u8 | body`, big-endian, as between workers.
 * `t8` and `t16` are bytes with their length in front; a position is `epoch t8 | offset u48`; what stands last takes the
 * rest of the frame.
 *
 * worker to broker
 *   hello         JSON: the hub, the worker, and this life of it
 *   append        number u48 | flags u8 | sender u48 | read f64 | channel t8 | key t8 | meta t16 | trace t8 | payload
 *   subscribe     channel u48 | position | name     an empty epoch: from now on; else what follows the position comes first
 *   unsubscribe   channel u48
 *   read          request u48 | position | limit u32 | bytes u32 | name     an empty epoch: the last messages
 *   remove        request u48 | name
 *
 * broker to worker
 *   welcome       JSON: the hub
 *   subscribed    channel u48 | flags u8 | position     from here on every publication of the channel comes
 *   publication   channel u48 | offset u48 | time f64 | sender u48 | read f64 | meta t16 | trace t8 | payload
 *                                                       of the epoch that `subscribed` has named
 *   placed        number u48 | flags u8 | position      of an append that asked for it; an empty epoch: unknown
 *   appended      number u48                            all appends up to this one are stored
 *   message       request u48 | offset u48 | time f64 | meta t16 | payload
 *   page          request u48 | flags u8 | position     the end of an answer to `read`; its messages came before it
 *   removed       request u48 | position
 */

export const brokerLinkVersion = 1;

export const frameTypes = {
  hello: 1,
  append: 2,
  subscribe: 3,
  unsubscribe: 4,
  read: 5,
  remove: 6,
  welcome: 33,
  subscribed: 34,
  publication: 35,
  placed: 36,
  appended: 37,
  message: 38,
  page: 39,
  removed: 40,
} as const;

export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

/** of `append` */
export const appendFlags = { wantsPosition: 1 } as const;
/** of `subscribed`: publications are missing before this position */
export const subscribedFlags = { gap: 1 } as const;
/** of `placed` */
export const placedFlags = { byKey: 1, byRetry: 2 } as const;
/** of `page` */
export const pageFlags = { complete: 1 } as const;

/** the largest number of six bytes */
export const maxNumber = 2 ** 48 - 1;
/** what their lengths in front can say */
export const maxKeyBytes = 255;
export const maxMetaBytes = 65_535;

/** The most that the fields of a frame take, besides its payload, meta, trace, name and key. */
export const fixedBytes = 64;
