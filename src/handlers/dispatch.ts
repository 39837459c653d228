/**
 * What is done with a client's message: parsed once, then given to the function of its type, or relayed as it
 * came. The messages of one connection are handled strictly one after the other; while an async function runs
 * the hub stops reading from that connection, so what waits is bounded by what had been read.
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

/** What dispatch needs of the hub. */
export interface Publisher {
  publish(channel: string, publication: Publication<Subscription>): void;
  /** The channel's messages come faster than they can be passed on. */
  isCongested(channel: string): boolean;
  /** Calls back when it is no longer congested. */
  whenFlowing(channel: string, resume: () => void): void;
}

/** Counts the messages that are of no use to anyone; client/inbound-limiter.ts fits. */
export interface InvalidMessages {
  invalid(connection: Client): void;
}

/** A connection whose messages are handled by the user's functions. */
interface Session {
  readonly subscription: Subscription;
  readonly context: ClientContext;
  /** a function of the user's is running: messages wait */
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
  /** functions of the user's that have not ended, nor met their deadline */
  #running = 0;
  /** messages that wait for a function are left out */
  #stopped = false;
  /** without functions of the user's there are no sessions at all */
  readonly #plain: boolean;

  /** @param timeoutMs how long a function may take before its sender gets `handler_failed` */
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

  /** No function of the user's is running, nor any message waiting for one. */
  get idle(): boolean {
    return this.#running === 0;
  }

  /** Leaves out the messages that wait: the time of the worker is over. */
  stop(): void {
    this.#stopped = true;
  }

  /** `connected` has been sent. */
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

  /** The client is gone. What it had sent and still waits is handled, unless the hub closed it. */
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

  /** Reads no more from a publisher while its channel is congested; the clients' TCP tells them so. */
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

  /** Runs a function of the user's; if it is async, what comes next waits for it or for its deadline. */
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
      if (over) return; // it came after its deadline
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

  /** Handles what waited, up to the next async function, and reads again when nothing waits any more. */
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

/** A call, because what a function of the user's did to the session cannot be seen where it was called. */
function isBusy(session: Session): boolean {
  return session.busy;
}

function typeOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('type' in value)) return undefined;
  return typeof value.type === 'string' ? value.type : undefined;
}

/** What a client gives as the trace of its message. */
function traceparentOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'traceparent' in value
    ? value.traceparent
    : undefined;
}

/** The refusal of what was too big, if that was thrown; a handler may throw what cannot even be asked for its class. */
function tooBigIn(thrown: unknown): HubError | null {
  try {
    return thrown instanceof HubError && thrown.code === 'message_too_big' ? thrown : null;
  } catch {
    return null;
  }
}

/** What a thenable resolves to. It may throw, call back twice, or hide its `then`: `await` copes with all of that. */
async function settled(result: PromiseLike<unknown>): Promise<unknown> {
  return await result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
