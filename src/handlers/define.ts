/**
 * The public API `wshub/handlers`: a handlers module exports `defineHandlers({...})` as default. Contains types, and a function
 * that returns its argument.
 */

/** A JSON object whose `type` names one of your handlers. */
export interface Message {
  type: string;
  [member: string]: unknown;
}

/** The result of a broadcast command in one worker. */
export type CommandOutcome = { workerId: string } & ({ value: unknown } | { error: string });

/** A place in a channel with history. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

export interface PublishOptions {
  /** 1 to 255 bytes of UTF-8: within five minutes a value with the same key is stored and delivered once. */
  readonly idempotencyKey?: string;
}

export interface HistoryOptions {
  /** Messages after this position; absent: from the oldest kept message. */
  readonly since?: Position;
  /** Most messages, 100 by default, 1 000 at most. A page also ends after 4 MiB. */
  readonly limit?: number;
}

export interface History extends Position {
  /** Oldest first. Empty, with `truncated` true, if `since` is unknown or the messages after it are no longer kept. */
  readonly messages: readonly {
    readonly offset: number;
    /** when it was stored, in Unix milliseconds */
    readonly time: number;
    readonly data: unknown;
    /** the client that sent it, and the `sub` of its token */
    readonly connectionId?: string;
    readonly user?: string;
  }[];
  /** more follow */
  readonly truncated: boolean;
}

/**
 * Thrown by `onSubscribe`, `onPublish` and methods: refuses with a code of your own.
 * @param code a whole number from 400 to 1999
 * @param message one sentence for the developer of the client
 * @param options `temporary`: clients of Centrifugal SDKs should try again
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: number;
  readonly temporary: boolean;

  constructor(code: number, message: string, { temporary = false } = {}) {
    super(message);
    if (!Number.isInteger(code) || code < 400 || code > 1999) {
      throw new RangeError(`the code of a refusal is 400 to 1999, not ${String(code)}`);
    }
    this.code = code;
    this.temporary = temporary;
  }
}

/** The hub, as handlers see it. */
export interface HubHandle {
  /** id of the worker that runs the handler; it changes with a restart */
  readonly workerId: string;
  /**
   * Sends a JSON value to all clients of a channel, on all workers. Throws for an invalid channel name, a value without a JSON
   * form, and JSON of more than 17 MiB (less 1 KiB).
   */
  readonly publish: {
    (channel: string, value: unknown): void;
    /**
     * With options, which may be `{}`: publishes to a channel with history, and resolves with the position once the value is
     * stored; null: the position is no longer known. Never throws. Rejects if it was not published, or with the code
     * `worker_timeout` if the outcome is unknown: with a key it can be repeated.
     */
    (channel: string, value: unknown, options: PublishOptions): Promise<Position | null>;
  };
  /** Reads the history of a channel, a page at a time. Rejects if it has none, or the broker does not answer in time. */
  readonly history: (channel: string, options?: HistoryOptions) => Promise<History>;
  /**
   * The clients of a channel on all workers, up to `limit`, 1 000 by default. Rejects if its namespace has no `presence`, or
   * the broker does not answer in time.
   */
  readonly presence: (
    channel: string,
    limit?: number,
  ) => Promise<{ clients: PresentClient[]; truncated: boolean }>;
  /** The number of clients of a channel, and of their users. Rejects like `presence`. */
  readonly presenceStats: (channel: string) => Promise<{ connections: number; users: number }>;
  /** Workers, connections and channels of the whole hub; the data of other workers is at most a second old. */
  readonly state: () => HubSnapshot;
  /** All channels of the hub, collected over several turns of the event loop. */
  readonly channels: () => Promise<ChannelSnapshot[]>;
  /**
   * Runs a function of `commands` in one worker, and resolves with its result.
   * Rejects if the worker does not exist, the command is unknown, it throws, its result has no JSON form, or it takes too long.
   */
  readonly command: (name: string, payload: unknown, workerId: string) => Promise<unknown>;
  /** Runs a function of `broadcastCommands` in every worker, this one included. Never rejects. */
  readonly broadcastCommand: (name: string, payload: unknown) => Promise<CommandOutcome[]>;
}

export interface HubSnapshot {
  workerId: string;
  connections: number;
  workers: { workerId: string; connections: number; channels: number }[];
  /** Each reading collects them at once, and blocks the worker 1 to 2 ms for each 1 000: `hub.channels()` does not. */
  readonly channels: ChannelSnapshot[];
}

/** One channel with its connections on all workers. */
export interface ChannelSnapshot {
  channel: string;
  connections: number;
  workers: { workerId: string; connections: number }[];
}

/** The client that sent the message. */
export interface ClientHandle {
  readonly id: string;
  /** claims of the client's token; null: no token key is set */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** Sends a JSON value to this client only, after all earlier publications on its channel. Does nothing if it is gone. */
  readonly send: (value: unknown) => void;
  /**
   * Closes the connection. Throws, and leaves the connection open, if the code or the reason is invalid.
   * @param code a whole number from 4000 to 4999, by default 4002
   * @param reason a string, by default "forbidden"; cut after 123 bytes of UTF-8
   */
  readonly close: (code?: number, reason?: string) => void;
}

/** One line in the hub's log, with members of its own or without. */
export interface LogMethod {
  (message: string): void;
  (members: object, message?: string): void;
}

export interface HandlerLog {
  readonly debug: LogMethod;
  readonly info: LogMethod;
  readonly warn: LogMethod;
  readonly error: LogMethod;
}

/** A client that wants to subscribe to a channel. */
export interface SubscribeContext {
  readonly channel: string;
  /** claims of the client's token; null: no token key is set */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** Address of the client; behind trusted proxies the one that they report. */
  readonly address: string;
  /** Query parameters of the handshake, decoded; the token is one of them if it was sent there. */
  readonly query: Readonly<Record<string, string>>;
  /** Headers of the handshake, by names in lower case; a token among them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Cookies of the handshake, decoded. */
  readonly cookies: Readonly<Record<string, string>>;
  /** The hub's log; each line has the channel and, once there is one, the connection's id. */
  readonly log: HandlerLog;
  readonly hub: HubHandle;
}

export interface ClientContext extends Omit<SubscribeContext, 'claims'> {
  readonly connection: ClientHandle;
  /** Sends a JSON value to all clients of the channel, this one included. */
  readonly publish: (value: unknown) => void;
}

/** A client on a channel. */
export interface PresentClient {
  readonly connectionId: string;
  /** the `sub` of its token */
  readonly user?: string;
  /** the claim `info` of its token */
  readonly info?: unknown;
}

export interface ChannelContext {
  /** The same if the event is handled again. */
  readonly id: string;
  readonly channel: string;
  /** The hub's log; each line has the channel. */
  readonly log: HandlerLog;
  readonly hub: HubHandle;
}

export interface MemberContext extends ChannelContext {
  readonly member: PresentClient;
}

export interface CommandContext {
  readonly hub: HubHandle;
  /** id of the calling worker */
  readonly from: string;
}

/** May be async: the messages of one connection are handled one after the other. */
export type MessageHandler = (message: Message, context: ClientContext) => unknown;
/** The client that calls a method. It may have several channels, or none. */
export type MethodContext = Omit<ClientContext, 'channel' | 'publish'>;

/**
 * The return value is the caller's result. Throws a `Refusal` to answer with an error of its own; anything else that is thrown
 * is an internal error.
 */
export type MethodHandler = (data: unknown, context: MethodContext) => unknown;
export type CommandHandler = (payload: unknown, context: CommandContext) => unknown;
export type SubscribeHandler = (context: SubscribeContext) => unknown;
/** @param message the parsed JSON of the client's message */
export type PublishHandler = (message: unknown, context: ClientContext) => unknown;
export type MemberHandler = (context: MemberContext) => unknown;
export type ChannelHandler = (context: ChannelContext) => unknown;
export type ConnectionHandler = (context: ClientContext) => unknown;
export type LifecycleHandler = (hub: HubHandle) => unknown;

export interface Handlers {
  /**
   * Handlers of client messages, by `type`. Each runs once, in the worker that received the message. The return value is
   * published on the channel; undefined publishes nothing.
   */
  types?: Readonly<Record<string, MessageHandler>>;
  /**
   * Methods that clients of the Centrifugal SDKs call (`rpc`), by name; a message sent with `send` calls the method that its
   * `type` names, without a result.
   */
  methods?: Readonly<Record<string, MethodHandler>>;
  /** Functions that a worker can run in another one; their return value is the caller's result. */
  commands?: Readonly<Record<string, CommandHandler>>;
  /** Functions that run in every worker, the calling one included. */
  broadcastCommands?: Readonly<Record<string, CommandHandler>>;
  /**
   * Runs before a client subscribes to a channel, after its token and permissions were checked. May be async: the client
   * waits. Throws a `Refusal` to refuse it.
   */
  onSubscribe?: SubscribeHandler;
  /**
   * Runs for each message of a client that has no handler in `types`. The return value is published in its place, undefined
   * the message itself. Throws a `Refusal` to refuse it.
   */
  onPublish?: PublishHandler;
  /** Runs after a client was sent `connected`; its messages wait until this handler is done. */
  onConnect?: ConnectionHandler;
  /** Runs when a connection has been closed. */
  onDisconnect?: ConnectionHandler;
  /**
   * Runs when a client has joined a channel with the option `presence` or `joinLeave`: once on the whole hub, in one worker.
   * Those of a channel run in order. If the worker dies meanwhile, it runs again in another one, with the same `id`.
   */
  onJoin?: MemberHandler;
  /** Like `onJoin`, when a client has left, or its worker has died. */
  onLeave?: MemberHandler;
  /** Like `onJoin`, before the join of the first client of a channel. */
  onOccupied?: ChannelHandler;
  /** Like `onJoin`, after the leave of the last client of a channel. */
  onVacated?: ChannelHandler;
  /**
   * Runs in each worker before it accepts clients and carries out commands. May be async. If it fails, the worker does
   * not start.
   */
  onStart?: LifecycleHandler;
  /** Runs in each worker that ends in an orderly way, when its clients are gone. May be async, and may still publish. */
  onStop?: LifecycleHandler;
}

export function defineHandlers(handlers: Handlers): Handlers {
  return handlers;
}
