/**
 * What a worker counts on its hot paths: plain numbers that only grow, written where the thing happens and read
 * when somebody asks. No I/O, no dependency.
 */
export class Counters {
  /** messages accepted, from clients, HTTP and handlers */
  received = 0;
  /** messages written to a local client, one per recipient */
  delivered = 0;
  /** publications that were not sent to a sibling because its link's buffer was full */
  relayDroppedBackpressure = 0;
  /** publications that were lost because the link to a known sibling was down */
  relayDroppedDown = 0;
  /** clients closed because they read too slowly */
  slowConsumers = 0;
  /** messages answered with an error: not JSON, binary, handler failed, larger than allowed */
  badJson = 0;
  binary = 0;
  handlerFailed = 0;
  tooBig = 0;
  /** messages that the sender's token does not allow */
  forbidden = 0;
  /** messages that a slow client did not get */
  droppedSlowConsumer = 0;
  /** messages that were refused because their sender was over its rate */
  droppedRateLimit = 0;
  /** upgrade requests that were refused, by reason */
  readonly rejected = {
    bad_request: 0,
    origin: 0,
    unauthorized: 0,
    rate_limit: 0,
    max_connections: 0,
    max_channels: 0,
    draining: 0,
  };
}
