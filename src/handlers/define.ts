/**
 * What users write: a module whose default export is `defineHandlers({...})`. This file is the public
 * `wshub/handlers`; it holds types and one function that returns what it is given.
 */

/** Any JSON object with a `type`: what a client sent to one of your functions. */
export interface Message {
  type: string;
  [member: string]: unknown;
}

/** How one worker carried out a broadcast command. */
export type CommandOutcome = { workerId: string } & ({ value: unknown } | { error: string });

/** The hub, as your functions see it. */
export interface HubHandle {
  /** the worker this runs in; it is a different one after a restart */
  readonly workerId: string;
  /**
   * Sends a JSON value to everyone on a channel, on all workers. Throws for a name that is not a channel's, a value
   * that has no JSON form, and JSON of more than 17 MiB (less 1 KiB).
   */
  readonly publish: (channel: string, value: unknown) => void;
  /** Workers, channels and connections of the whole hub; what other workers hold is at most a second old. */
  readonly state: () => HubSnapshot;
  /**
   * Runs a function of `commands` in one worker; resolves with what it returned.
   * Rejects if the worker is not there, does not know the command, fails, returns what JSON cannot carry to another
   * worker, or takes too long.
   */
  readonly command: (name: string, payload: unknown, workerId: string) => Promise<unknown>;
  /** Runs a function of `broadcastCommands` in every worker, this one included. Never rejects. */
  readonly broadcastCommand: (name: string, payload: unknown) => Promise<CommandOutcome[]>;
}

export interface HubSnapshot {
  workerId: string;
  connections: number;
  workers: { workerId: string; connections: number; channels: number }[];
  channels: {
    channel: string;
    connections: number;
    workers: { workerId: string; connections: number }[];
  }[];
}

/** The client that sent the message. */
export interface ClientHandle {
  readonly id: string;
  /** what the client's token says; null without tokens */
  readonly claims: Readonly<Record<string, unknown>> | null;
  /** Sends a JSON value to this client alone, behind all that was published on its channel; nothing if it is gone. */
  readonly send: (value: unknown) => void;
  /**
   * Closes the connection. Throws, and leaves the connection open, if the code or the reason is of another kind.
   * @param code a whole number from 4000 to 4999, by default 4002
   * @param reason a string, by default "forbidden"; what exceeds 123 bytes of UTF-8 is cut off
   */
  readonly close: (code?: number, reason?: string) => void;
}

export interface ClientContext {
  readonly channel: string;
  readonly connection: ClientHandle;
  readonly hub: HubHandle;
  /** Sends a JSON value to everyone on the client's channel, the client included. */
  readonly publish: (value: unknown) => void;
}

export interface CommandContext {
  readonly hub: HubHandle;
  /** the worker that called */
  readonly from: string;
}

/** May be async: the messages of one connection are handled strictly one after the other. */
export type MessageHandler = (message: Message, context: ClientContext) => unknown;
export type CommandHandler = (payload: unknown, context: CommandContext) => unknown;
export type ConnectionHandler = (context: ClientContext) => unknown;

export interface Handlers {
  /**
   * Client messages, by their `type`. Each runs once, in the worker that received it; what it returns is sent to
   * the channel, nothing if that is undefined.
   */
  types?: Readonly<Record<string, MessageHandler>>;
  /** Functions that another worker can run here; what they return is the caller's result. */
  commands?: Readonly<Record<string, CommandHandler>>;
  /** Functions that run in every worker, the caller's too. */
  broadcastCommands?: Readonly<Record<string, CommandHandler>>;
  /** Runs when a client has read `connected`; its messages wait until it is done. */
  onConnect?: ConnectionHandler;
  /** Runs when a client that was connected is gone. */
  onDisconnect?: ConnectionHandler;
}

export function defineHandlers(handlers: Handlers): Handlers {
  return handlers;
}
