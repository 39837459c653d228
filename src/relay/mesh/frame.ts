/**
 * The frames of a link between two workers: `length u32 | version u8 | type u8 | body`, big-endian; the length
 * counts what follows it.
 *
 *   hello    JSON: who speaks, to whom
 *   begin    the complete interest follows, up to the next sync
 *   add      channel u48 | name          somebody here listens to the channel, under this number
 *   drop     channel u48                 nobody does any more
 *   sync     sequence u48                asks for an ack
 *   ack      sequence u48                all interest up to that sync is known
 *   publish  channel u48 | flags u8 | handed f64 | age f32 | trace? | payload
 *                                        the number is the one that the receiver announced; see below
 *   named    name length u8 | name | flags u8 | handed f64 | age f32 | trace? | payload
 *                                        a publication for a sibling that may listen without its being known here
 *   lost     channel u48 | count u32     so many publications were dropped in this place
 *   hold     channel u48                 send nothing more of the channel for now; it waits at the sender
 *   release  channel u48                 send it again
 *   alive                                sent on every tick of mesh.ts
 *   probe    nonce u48                   asks for an echo
 *   echo     nonce u48                   all interest that was announced before it is known by now
 *   counts   connections u32 | (channel u48 | members u32)*
 *   call     JSON: a command of the user's
 *   result   JSON: its outcome
 *   leaving                              the sender is about to end: it takes no more calls; answered by `quiet`
 *   quiet                                no call follows from the sender
 */

export const linkVersion = 2;

export const frameTypes = {
  hello: 1,
  begin: 2,
  add: 3,
  drop: 4,
  sync: 5,
  ack: 6,
  publish: 7,
  counts: 8,
  call: 9,
  result: 10,
  leaving: 11,
  quiet: 12,
  named: 13,
  lost: 14,
  hold: 15,
  release: 16,
  alive: 17,
  probe: 18,
  echo: 19,
} as const;

/** the length field */
export const lengthBytes = 4;
/** length, version and type */
export const headBytes = lengthBytes + 2;
/** a channel's number or a sequence */
export const idBytes = 6;
/**
 * A publication's flags, when it was handed to the link (seconds of clock.ts), and for how many seconds the
 * sender had had it by then. With the flag `traced` a block of trace-block.ts follows.
 */
export const publicationBytes = 1 + 8 + 4;
export const publicationFlags = { traced: 1 } as const;

/** a number of connections */
export const countBytes = 4;

/**
 * The largest frame. The encoder refuses to make a larger one and the decoder to read one: a frame that only its
 * receiver refused would cut the link, with everything that other publishers had put on it.
 */
export const maxFrameBytes = 17 * 1024 * 1024;
/** The largest payload of a publication; the remainder of its frame leaves room for the head, a name and a trace. */
export const maxPublicationBytes = maxFrameBytes - 1024;
