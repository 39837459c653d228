/**
 * The frames of a link between two workers: `length u32 | version u8 | type u8 | body`, big-endian; the length
 * counts what follows it.
 *
 *   hello    JSON: the hub, the sending and the receiving worker
 *   begin    the complete interest follows, up to the next sync
 *   add      channel u48 | name          the sender has subscribers on the channel, which has this number there
 *   drop     channel u48                 the sender has no subscribers left on the channel
 *   sync     sequence u48                asks for an ack
 *   ack      sequence u48                all interest up to that sync is known
 *   publish  channel u48 | flags u8 | handed f64 | age f32 | trace? | payload
 *                                        the number is the one that the receiver announced; see below
 *   named    name length u8 | name | flags u8 | handed f64 | age f32 | trace? | payload
 *                                        a publication for a sibling whose present interest is not known
 *   lost     channel u48 | count u32     stands in place of `count` dropped publications
 *   hold     channel u48                 asks for a pause: publications of the channel are queued at their sender
 *   release  channel u48                 ends the pause
 *   alive                                sent on every tick of mesh.ts
 *   probe    nonce u48                   asks for an echo
 *   echo     nonce u48                   all interest that was announced before the probe is known
 *   counts   connections u32 | (channel u48 | members u32)*
 *   call     JSON: a user-defined command
 *   result   JSON: its outcome
 *   leaving                              the sender is about to end and accepts no calls; answered by `quiet`
 *   quiet                                the sender will not send another call
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
 * The flags of a publication, the time when it was handed to the link (seconds of clock.ts), and the seconds since
 * its sender read it. With the flag `traced` a trace context follows; see tracing/trace-context.ts.
 */
export const publicationBytes = 1 + 8 + 4;
export const publicationFlags = { traced: 1 } as const;

/** a number of connections */
export const countBytes = 4;

/**
 * The largest frame. The encoder refuses to make a larger one and the decoder refuses to read one. If only the
 * receiver refused it, the link would close and lose the publications of other publishers.
 */
export const maxFrameBytes = 17 * 1024 * 1024;
/** The largest payload of a publication; the rest of the frame is for the head, a name and a trace context. */
export const maxPublicationBytes = maxFrameBytes - 1024;
