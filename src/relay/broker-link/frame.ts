/**
 * The frames between a worker and the broker: `length u32 | version u8 | type u8 | body`, big-endian, as between workers.
 * `t8` and `t16` are bytes after a length of 8 or 16 bits; a position is `epoch t8 | offset u48`; the last field takes the
 * rest of the frame.
 *
 * worker to broker
 *   hello         JSON: the hub, the worker, and its process (`life`)
 *   append        number u48 | flags u8 | sender u48 | read f64 | channel t8 | key t8 | meta t16 | trace t8 | payload
 *   subscribe     channel u48 | position | name     an empty epoch: later publications; else also those after the position
 *   unsubscribe   channel u48
 *   read          request u48 | position | limit u32 | bytes u32 | page u8 | name     an empty epoch: the last messages
 *   remove        request u48 | name
 *   enter         member u48 | flags u8 | channel t8 | MEMBER      a client of this worker is on the channel
 *   leave         member u48
 *   told          all members of this worker have been sent
 *   watch         watch u48 | name                      the members of the channel, then every change
 *   unwatch       watch u48
 *   members       request u48 | limit u32 | name
 *   handles       u8                                    1: this worker handles events; 0: no longer
 *   handled       event u48
 *   follow        channel u48 | name                    the publications of other machines, without history
 *   unfollow      channel u48
 *   relay         channel t8 | trace t8 | payload       a publication without history, for other machines
 *
 * broker to worker
 *   welcome       JSON: the hub
 *   subscribed    channel u48 | flags u8 | position     every later publication of the channel follows
 *   publication   channel u48 | offset u48 | time f64 | sender u48 | read f64 | meta t16 | trace t8 | payload
 *                                                       in the epoch of the last `subscribed`
 *   placed        number u48 | flags u8 | position      of an append that asked for it; an empty epoch: unknown
 *   appended      number u48                            all appends up to this one are stored
 *   message       request u48 | offset u48 | time f64 | meta t16 | payload
 *   page          request u48 | flags u8 | position     ends the answer to `read`, after its messages
 *   removed       request u48 | position
 *   member        watch or request u48 | MEMBER
 *   watched       watch u48                             ends the members of a watch; a later list replaces them
 *   counted       request u48 | members u32 | users u32     ends the answer to `members`
 *   joined        watch u48 | MEMBER
 *   left          watch u48 | connection
 *   event         event u48 | kind u8 | id t8 | channel t8 | MEMBER     for the handlers of the user
 *   settled       member u48 | kind u8                  the event of the member was handled
 *   followed      channel u48                           every later publication of other machines follows
 *   relayed       channel u48 | trace t8 | payload
 *   engine        reached u8                            whether the server of the engine is reached; at first it is
 *
 * MEMBER is `connection t8 | user t16 | info t16 | channel info`
 */

export const brokerLinkVersion = 1;

export const frameTypes = {
  hello: 1,
  append: 2,
  subscribe: 3,
  unsubscribe: 4,
  read: 5,
  remove: 6,
  enter: 7,
  leave: 8,
  told: 9,
  watch: 10,
  unwatch: 11,
  members: 12,
  handles: 13,
  handled: 14,
  follow: 20,
  unfollow: 21,
  relay: 22,
  welcome: 33,
  subscribed: 34,
  publication: 35,
  placed: 36,
  appended: 37,
  message: 38,
  page: 39,
  removed: 40,
  member: 41,
  watched: 42,
  counted: 43,
  joined: 44,
  left: 45,
  event: 46,
  settled: 47,
  followed: 60,
  relayed: 61,
  engine: 62,
} as const;

export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

/** flags of `append` */
export const appendFlags = { wantsPosition: 1 } as const;
/** flags of `enter`; `events`: joins and leaves are handled; `known`: the join was handled before */
export const enterFlags = { events: 1, known: 2 } as const;
/** `kind` of `event` and `settled` */
export const memberEventKinds = { occupied: 1, joined: 2, left: 3, vacated: 4 } as const;
/** flags of `subscribed`; `gap`: publications before this position are lost */
export const subscribedFlags = { gap: 1 } as const;
/** flags of `placed`: the publication was stored before, with the same key or the same number */
export const placedFlags = { byKey: 1, byRetry: 2 } as const;
/** flags of `page`; see Page */
export const pageFlags = { complete: 1, more: 2 } as const;
/** `page` of `read`; 0: no page */
export const pageDirections = { forward: 1, reverse: 2 } as const;

/** the largest number of six bytes */
export const maxNumber = 2 ** 48 - 1;
/** limit of `t8` */
export const maxKeyBytes = 255;
/** limit of `t16` */
export const maxMetaBytes = 65_535;

/** Upper limit of the fields of a frame, without payload, meta, trace, name and key. */
export const fixedBytes = 128;
