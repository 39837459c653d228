/**
 * Handles the messages of clients: a message is parsed once, then passed to the handler of its type, or published
 * unchanged. The messages of one connection are handled strictly in order; see runner.ts.
 */
import { now } from '../platform/clock.ts';
import { Publication, type PublicationSource } from '../channel/publication.ts';
import type { Client, Subscription } from '../client/client.ts';
import type { Receiver } from '../client/clients.ts';
import type { AppendOptions } from '../hub.ts';
import type { Counters } from '../metrics/counters.ts';
import { HubError, RefusedError, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import { noTracing, type PublishSpan, type Tracing } from '../tracing/tracing.ts';
import { isReserved } from '../protocol/plain/messages.ts';
import type { ClientContext, ConnectionHandler, HubHandle } from './define.ts';
import { clientContext, jsonOf, subscribeContext, type Subscriber } from './handle.ts';
import type { LoadedHandlers } from './load.ts';
import { refusalIn } from './refusals.ts';
import type { HandshakeRequest } from './request-info.ts';
import { HandlerRunner, type ClientQueue } from './runner.ts';

/** The part of the hub that dispatch uses. */
export interface Publisher {
  publish(channel: string, publication: Publication<Subscription>, append?: AppendOptions | null): void;
  /** Returns whether publishers of the channel should pause. */
  isCongested(channel: string): boolean;
  /** Calls `resume` when the channel is no longer congested. */
  whenFlowing(channel: string, resume: () => void): void;
}

/** Counts invalid messages; client/rate-limiter.ts implements it. */
export interface InvalidMessages {
  invalid(connection: Client): void;
}

/** The sender of a message on one channel; a subscription is one. */
export interface Sender {
  readonly client: Client;
  readonly channel: { readonly name: string };
  /** the subscription that does not receive the message; null: it receives its own messages, or has no subscription */
  readonly excluded: Subscription | null;
}

/** Answers one message of a client in its protocol. */
export interface Answer {
  /** see `Publisher`; on a channel with history its `placed` answers */
  readonly append: AppendOptions | null;
  /** The message was published, or its handler has published nothing. */
  accepted(wasPublished: boolean): void;
  /** @param cause the error of a handler; for `forbidden` a `RefusedError`, with a code of its own */
  refused(client: Client, code: ErrorCode, message?: string, cause?: unknown): void;
}

/** The plain protocol answers only messages that are not accepted. */
const plainAnswer: Answer = {
  append: null,
  accepted: () => undefined,
  refused: (client, code, message, cause) => {
    // The cause of another error may be any value, even one whose class check throws.
    if (code === 'forbidden' && cause instanceof RefusedError)
      client.write(client.protocol.message(JSON.stringify(cause.body)));
    else client.error(code, message);
  },
};

/** Answers one call of a method. */
export interface CallAnswer {
  /** @param json null: the method has returned nothing */
  result(json: Buffer | null): void;
  /** @param error a `RefusedError`, or the code of the failure */
  failed(error: HubError): void;
}

/** A client whose messages are passed to user functions. */
interface Queue extends ClientQueue {
  /** the context of a plain client, which has one channel; null: each message has its own */
  readonly context: ClientContext | null;
  readonly request: HandshakeRequest;
}

export class Dispatcher implements Receiver {
  readonly #handlers: LoadedHandlers;
  readonly #publisher: Publisher;
  readonly #hub: HubHandle;
  /** runs user functions; running ones count for `idle` */
  readonly runner: HandlerRunner;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #tracing: Tracing;
  readonly #invalid: InvalidMessages | null;
  readonly #queues = new Map<Client, Queue>();
  /** there are no user functions, and therefore no queues */
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
    this.runner = new HandlerRunner(timeoutMs);
    this.#log = log;
    this.#counters = counters;
    this.#tracing = tracing;
    const { types, methods, onPublish, onConnect, onDisconnect } = handlers;
    this.#plain = types.size === 0 && methods.size === 0 && !onPublish && !onConnect && !onDisconnect;
  }

  /** Returns whether no user function is running and no message waits for one. */
  get idle(): boolean {
    return this.runner.idle;
  }

  /** Drops the waiting messages, because the worker must end. */
  stop(): void {
    this.runner.stop();
  }

  /**
   * Asks `onSubscribe` whether a client may subscribe.
   * @returns null: there is no such handler. Rejects with a HubError: `RefusedError`, or `handler_failed`.
   */
  subscribing(subscriber: Subscriber): Promise<void> | null {
    const { onSubscribe } = this.#handlers;
    if (!onSubscribe) return null;
    const { channel } = subscriber;
    const context = subscribeContext(subscriber, this.#hub, this.#log);
    return this.runner
      .once(() => onSubscribe(context))
      .then(
        () => undefined,
        (error: unknown) => {
          const refusal = refusalIn(error);
          if (refusal) throw refusal;
          this.#log.error({ err: error, handler: 'onSubscribe', channel }, 'handler failed');
          throw new HubError('handler_failed', 'the handler onSubscribe failed', { cause: error });
        },
      );
  }

  /** Called when `connected` has been sent. */
  readonly connected = (subscription: Subscription, { url, headers }: HandshakeRequest): void => {
    if (this.#plain) return;
    const request = { url, headers };
    this.#open(subscription.client, request, clientContext(subscription, request, this.#hub, this.#log));
  };

  /** Called when a client of several channels has connected. */
  readonly connectedWithoutChannel = (client: Client, { url, headers }: HandshakeRequest): void => {
    if (!this.#plain) this.#open(client, { url, headers }, null);
  };

  #open(client: Client, request: HandshakeRequest, context: ClientContext | null): void {
    const queue: Queue = { client, context, request, busy: false, waiting: [] };
    this.#queues.set(client, queue);
    const { onConnect } = this.#handlers;
    if (onConnect) this.#runHook(queue, 'onConnect', onConnect);
  }

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
    const queue = this.#plain ? undefined : this.#queues.get(client);
    if (queue?.busy) {
      this.runner.defer(queue, () => {
        this.#handle(subscription, queue, data, isBinary, readAt);
      });
      return;
    }
    this.#handle(subscription, queue, data, isBinary, readAt);
  }

  /**
   * Handles a message that its protocol has decoded. The messages of a client are handled in order.
   * @param value the parsed `data`
   */
  publish(sender: Sender, value: unknown, data: Buffer, answer: Answer): void {
    const readAt = now();
    this.#counters.receivedBytes += data.length;
    const queue = this.#plain ? undefined : this.#queues.get(sender.client);
    if (queue?.busy) {
      this.runner.defer(queue, () => {
        this.#dispatch(sender, queue, value, data, readAt, answer);
      });
      return;
    }
    this.#dispatch(sender, queue, value, data, readAt, answer);
  }

  get hasMethods(): boolean {
    return this.#handlers.methods.size > 0;
  }

  hasMethod(name: string): boolean {
    return this.#handlers.methods.has(name);
  }

  /** Calls a method for a client of several channels, in order with its other messages. */
  call(client: Client, name: string, data: unknown, answer: CallAnswer): void {
    const method = this.#handlers.methods.get(name);
    const queue = this.#queues.get(client);
    if (!method || !queue) return;
    const run = () => {
      const context = clientContext({ client, channel: noChannel }, queue.request, this.#hub, this.#log);
      this.runner.run(
        queue,
        () => method(data, context),
        (result) => {
          answer.result(result === undefined ? null : jsonOf(result));
        },
        (error) => {
          const refusal = refusalIn(error);
          answer.failed(refusal ?? this.#report(client, error, name, null) ?? new HubError('handler_failed'));
        },
      );
    };
    if (queue.busy) this.runner.defer(queue, run);
    else run();
  }

  /** The client has disconnected. Its waiting messages are still handled, unless the hub closed it. */
  disconnected(client: Client): void {
    const queue = this.#queues.get(client);
    if (!queue) return;
    this.#queues.delete(client);
    const hook = this.#handlers.onDisconnect;
    if (!hook) return;
    const run = () => {
      this.#runHook(queue, 'onDisconnect', hook);
    };
    if (queue.busy) queue.waiting.push(run);
    else run();
  }

  #handle(
    subscription: Subscription,
    queue: Queue | undefined,
    data: Buffer,
    isBinary: boolean,
    readAt: number,
  ): void {
    const { client } = subscription;
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
    this.#dispatch(subscription, queue, value, data, readAt, plainAnswer);
  }

  /** Runs the handler of the message's type, or publishes the message unchanged. */
  #dispatch(
    sender: Sender,
    queue: Queue | undefined,
    value: unknown,
    data: Buffer,
    readAt: number,
    answer: Answer,
  ): void {
    const type = queue ? typeOf(value) : undefined;
    const handler = type === undefined ? undefined : this.#handlers.types.get(type);
    if (!handler && isReserved(value)) {
      this.#counters.messageErrors.reserved_message += 1;
      answer.refused(sender.client, 'reserved_message');
      return;
    }
    const trace = this.#tracing.on
      ? this.#tracing.publication(sender.channel.name, readAt, data.length, traceparentOf(value))
      : null;
    const { onPublish } = this.#handlers;
    if (!queue || (!handler && !onPublish)) {
      this.#publish(sender, data, 'ws', readAt, trace, answer);
      return;
    }
    const context = queue.context ?? clientContext(sender, queue.request, this.#hub, this.#log);
    this.runner.run(
      queue,
      () => (handler ? handler(value as { type: string }, context) : onPublish?.(value, context)),
      (result) => {
        if (result === undefined && !handler) {
          this.#publish(sender, data, 'ws', readAt, trace, answer);
          return;
        }
        if (result === undefined) {
          trace?.end();
          answer.accepted(false);
          return;
        }
        this.#publish(sender, jsonOf(result), 'handler', readAt, trace, answer);
      },
      (error) => {
        const refusal = handler ? null : refusalIn(error);
        if (!refusal) {
          this.#failed(sender.client, error, handler ? (type ?? '') : 'onPublish', trace, answer);
          return;
        }
        trace?.end(error);
        this.#counters.messageErrors.forbidden += 1;
        answer.refused(sender.client, 'forbidden', refusal.message, refusal);
      },
    );
  }

  #publish(
    sender: Sender,
    payload: Buffer,
    source: PublicationSource,
    readAt: number,
    trace: PublishSpan | null,
    answer: Answer,
  ): void {
    const publication = new Publication(payload, source, sender.excluded, readAt);
    publication.client = sender.client;
    if (trace) publication.trace(trace.block);
    try {
      this.#publisher.publish(sender.channel.name, publication, answer.append);
      trace?.end();
      answer.accepted(true);
    } catch (error) {
      if (!(error instanceof HubError) || error.code !== 'unavailable') throw error;
      trace?.end(error);
      this.#counters.messageErrors.unavailable += 1;
      answer.refused(sender.client, 'unavailable');
    }
    this.#pace(sender);
  }

  /** Pauses reading from a publisher while its channel is congested; TCP flow control then slows the client. */
  #pace({ client, channel: { name } }: Sender): void {
    if (!this.#publisher.isCongested(name) || client.pausedFor('congestion')) return;
    client.pause('congestion');
    this.#publisher.whenFlowing(name, () => {
      client.resume('congestion');
    });
  }

  #runHook(queue: Queue, name: string, hook: ConnectionHandler): void {
    const { client, request } = queue;
    const context =
      queue.context ?? clientContext({ client, channel: noChannel }, request, this.#hub, this.#log);
    this.runner.run(
      queue,
      () => hook(context),
      () => undefined,
      (error) => {
        this.#failed(client, error, name, null, plainAnswer);
      },
    );
  }

  #failed(client: Client, error: unknown, name: string, trace: PublishSpan | null, answer: Answer): void {
    const tooBig = this.#report(client, error, name, trace);
    if (tooBig) answer.refused(client, 'message_too_big', tooBig.message);
    else answer.refused(client, 'handler_failed', undefined, error);
  }

  /** Logs and counts the failure of a user function. @returns the error if it is `message_too_big` */
  #report(client: Client, error: unknown, name: string, trace: PublishSpan | null): HubError | null {
    trace?.end(error);
    const tooBig = tooBigIn(error);
    if (tooBig) this.#counters.messageErrors.message_too_big += 1;
    else this.#counters.messageErrors.handler_failed += 1;
    this.#log.error(
      { err: error, handler: name, connectionId: client.id, traceId: trace?.traceId },
      'handler failed',
    );
    return tooBig;
  }
}

/** The channel in the context of a hook that concerns a client of several channels. */
const noChannel = { name: '' };

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
