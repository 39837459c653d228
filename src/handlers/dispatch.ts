/**
 * Handles the messages of clients: a message is parsed once, then passed to the handler of its type, or published
 * unchanged. The messages of one connection are handled strictly in order. While an async handler runs, the hub stops
 * reading from the connection, so the number of waiting messages is limited by the bytes that were already read.
 */
import { now } from '../platform/clock.ts';
import { Publication, type PublicationSource } from '../channel/publication.ts';
import type { Client, Subscription } from '../client/client.ts';
import type { Receiver } from '../client/clients.ts';
import type { Counters } from '../metrics/counters.ts';
import { HubError } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { noTracing, type PublishSpan, type Tracing } from '../tracing/tracing.ts';
import { isReserved } from '../protocol/plain/messages.ts';
import type { ClientContext, ConnectionHandler, HubHandle } from './define.ts';
import { clientContext, jsonOf } from './handle.ts';
import type { LoadedHandlers } from './load.ts';
import type { HandshakeRequest } from './request-info.ts';

/** The part of the hub that dispatch uses. */
export interface Publisher {
  publish(channel: string, publication: Publication<Subscription>): void;
  /** Returns whether publishers of the channel should pause. */
  isCongested(channel: string): boolean;
  /** Calls `resume` when the channel is no longer congested. */
  whenFlowing(channel: string, resume: () => void): void;
}

/** Counts invalid messages; client/rate-limiter.ts implements it. */
export interface InvalidMessages {
  invalid(connection: Client): void;
}

/** A connection whose messages are passed to user functions. */
interface Session {
  readonly subscription: Subscription;
  readonly context: ClientContext;
  /** a user function is running, so later messages wait */
  busy: boolean;
  readonly waiting: (() => void)[];
}

export class Dispatcher implements Receiver {
  readonly #handlers: LoadedHandlers;
  readonly #publisher: Publisher;
  readonly #hub: HubHandle;
  readonly #timeoutMs: number;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #tracing: Tracing;
  readonly #invalid: InvalidMessages | null;
  readonly #sessions = new Map<Client, Session>();
  /** number of user functions that have neither ended nor timed out */
  #running = 0;
  /** messages that wait for a user function are dropped */
  #stopped = false;
  /** there are no user functions, and therefore no sessions */
  readonly #plain: boolean;

  /** @param timeoutMs deadline of a user function, after which the sender gets `handler_failed` */
  constructor(
    handlers: LoadedHandlers,
    publisher: Publisher,
    hub: HubHandle,
    timeoutMs: number,
    log: Log,
    counters: Counters,
    invalid: InvalidMessages | null = null,
    tracing: Tracing = noTracing,
  ) {
    this.#invalid = invalid;
    this.#handlers = handlers;
    this.#publisher = publisher;
    this.#hub = hub;
    this.#timeoutMs = timeoutMs;
    this.#log = log;
    this.#counters = counters;
    this.#tracing = tracing;
    this.#plain = handlers.types.size === 0 && !handlers.onConnect && !handlers.onDisconnect;
  }

  /** Returns whether no user function is running and no message waits for one. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** Drops the waiting messages, because the worker must end. */
  stop(): void {
    this.#stopped = true;
  }

  /** Called when `connected` has been sent. */
  readonly connected = (subscription: Subscription, { url, headers }: HandshakeRequest): void => {
    if (this.#plain) return;
    const context = clientContext(subscription, { url, headers }, this.#hub, this.#log);
    const session: Session = { subscription, context, busy: false, waiting: [] };
    this.#sessions.set(subscription.client, session);
    if (this.#handlers.onConnect) this.#runHook(session, 'onConnect', this.#handlers.onConnect);
  };

  message(client: Client, data: Buffer, isBinary: boolean): void {
    const [subscription] = client.subscriptions;
    if (!subscription) return;
    if (!subscription.mayPublish) {
      this.#counters.messageErrors.forbidden += 1;
      client.error('forbidden', 'you may not publish on this channel');
      return;
    }
    const readAt = now();
    this.#counters.receivedBytes += data.length;
    const session = this.#plain ? undefined : this.#sessions.get(client);
    if (session?.busy) {
      session.waiting.push(() => {
        if (!client.evicted && !this.#stopped) this.#handle(subscription, session, data, isBinary, readAt);
      });
      if (!client.pausedFor('handler')) client.pause('handler');
      return;
    }
    this.#handle(subscription, session, data, isBinary, readAt);
  }

  /** The client has disconnected. Its waiting messages are still handled, unless the hub closed it. */
  disconnected(client: Client): void {
    const session = this.#sessions.get(client);
    if (!session) return;
    this.#sessions.delete(client);
    const hook = this.#handlers.onDisconnect;
    if (!hook) return;
    const run = () => {
      this.#runHook(session, 'onDisconnect', hook);
    };
    if (session.busy) session.waiting.push(run);
    else run();
  }

  #handle(
    subscription: Subscription,
    session: Session | undefined,
    data: Buffer,
    isBinary: boolean,
    readAt: number,
  ): void {
    const { client, channel } = subscription;
    if (isBinary) {
      this.#counters.messageErrors.binary_not_supported += 1;
      client.error('binary_not_supported');
      this.#invalid?.invalid(client);
      return;
    }
    let value: unknown;
    try {
      value = JSON.parse(data.toString());
    } catch {
      this.#counters.messageErrors.bad_json += 1;
      client.error('bad_json');
      this.#invalid?.invalid(client);
      return;
    }
    const type = session ? typeOf(value) : undefined;
    const handler = type === undefined ? undefined : this.#handlers.types.get(type);
    if (!handler && isReserved(value)) {
      this.#counters.messageErrors.reserved_message += 1;
      client.error('reserved_message');
      return;
    }
    const trace = this.#tracing.on
      ? this.#tracing.publication(channel.name, readAt, data.length, traceparentOf(value))
      : null;
    if (!session || type === undefined || !handler) {
      this.#publish(subscription, data, 'ws', readAt, trace);
      return;
    }
    this.#run(
      session,
      () => handler(value as { type: string }, session.context),
      (result) => {
        if (result === undefined) {
          trace?.end();
          return;
        }
        this.#publish(subscription, jsonOf(result), 'handler', readAt, trace);
      },
      type,
      trace,
    );
  }

  #publish(
    subscription: Subscription,
    payload: Buffer,
    source: PublicationSource,
    readAt: number,
    trace: PublishSpan | null,
  ): void {
    const publication = new Publication(payload, source, subscription.echo ? null : subscription, readAt);
    publication.client = subscription.client;
    if (trace) publication.trace(trace.block);
    try {
      this.#publisher.publish(subscription.channel.name, publication);
      trace?.end();
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'unavailable') throw error;
      trace?.end(error);
      this.#counters.messageErrors.unavailable += 1;
      subscription.client.error('unavailable');
    }
    this.#pace(subscription);
  }

  /** Pauses reading from a publisher while its channel is congested; TCP flow control then slows the client. */
  #pace({ client, channel: { name } }: Subscription): void {
    if (!this.#publisher.isCongested(name) || client.pausedFor('congestion')) return;
    client.pause('congestion');
    this.#publisher.whenFlowing(name, () => {
      client.resume('congestion');
    });
  }

  #runHook(session: Session, name: string, hook: ConnectionHandler): void {
    this.#run(
      session,
      () => hook(session.context),
      () => undefined,
      name,
    );
  }

  /** Runs a user function. If it is async, later messages wait for its result or its deadline. */
  #run(
    session: Session,
    start: () => unknown,
    done: (result: unknown) => void,
    name: string,
    trace: PublishSpan | null = null,
  ): void {
    try {
      const result = start();
      if (isThenable(result)) this.#await(session, result, done, name, trace);
      else done(result);
    } catch (error) {
      this.#failed(session, error, name, trace);
    }
  }

  #await(
    session: Session,
    result: PromiseLike<unknown>,
    done: (result: unknown) => void,
    name: string,
    trace: PublishSpan | null,
  ): void {
    session.busy = true;
    this.#running += 1;
    let over = false;
    const finish = (act: () => void) => {
      if (over) return; // the result arrived after its deadline
      over = true;
      this.#running -= 1;
      clearTimeout(deadline);
      try {
        act();
      } catch (error) {
        this.#failed(session, error, name, trace);
      }
      this.#next(session);
    };
    const fail = (error: unknown) => {
      finish(() => {
        this.#failed(session, error, name, trace);
      });
    };
    const deadline = setTimeout(() => {
      fail(new Error(`no result within ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    settled(result).then((value) => {
      finish(() => {
        done(value);
      });
    }, fail);
  }

  /** Handles the waiting messages, up to the next async function. Resumes reading when none is left. */
  #next(session: Session): void {
    session.busy = false;
    while (session.waiting.length > 0) {
      session.waiting.shift()?.();
      if (isBusy(session)) return;
    }
    session.subscription.client.resume('handler');
  }

  #failed(session: Session, error: unknown, name: string, trace: PublishSpan | null): void {
    const { client } = session.subscription;
    trace?.end(error);
    const tooBig = tooBigIn(error);
    if (tooBig) this.#counters.messageErrors.message_too_big += 1;
    else this.#counters.messageErrors.handler_failed += 1;
    this.#log.error(
      { err: error, handler: name, connectionId: client.id, traceId: trace?.traceId },
      'handler failed',
    );
    if (tooBig) client.error('message_too_big', tooBig.message);
    else client.error('handler_failed');
  }
}

/** A function, because TypeScript cannot see that a user function has changed the session. */
function isBusy(session: Session): boolean {
  return session.busy;
}

function typeOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined;
  return typeof value.type === 'string' ? value.type : undefined;
}

/** Returns the trace context that a client has put into its message. */
function traceparentOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'traceparent' in value
    ? value.traceparent
    : undefined;
}

/** Returns the error if it is `message_too_big`. A handler may throw any value, even one whose class check throws. */
function tooBigIn(thrown: unknown): HubError | null {
  try {
    return thrown instanceof HubError && thrown.code === 'message_too_big' ? thrown : null;
  } catch {
    return null;
  }
}

/** Returns the result of a thenable. `await` handles thenables that throw, call back twice or hide their `then`. */
async function settled(result: PromiseLike<unknown>): Promise<unknown> {
  return await result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
