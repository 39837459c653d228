/** The messages of schema.ts as the sessions read and write them. Absent values are the zero value of their type. */

/** A JSON value of a client. */
export interface Json {
  /** its text, unchanged */
  readonly bytes: Buffer;
  /** undefined: the bytes are not JSON */
  readonly value: unknown;
}

export interface SubscribeRequest {
  readonly channel: string;
  readonly token: string;
  readonly recover: boolean;
  readonly epoch: string;
  readonly offset: number;
  readonly delta: string;
  /** null: no filter */
  readonly tf: unknown;
  readonly flag: number;
  readonly type: number;
  readonly data: Json | null;
  readonly join_leave: boolean;
}

export interface ConnectRequest {
  readonly token: string;
  readonly data: Json | null;
  readonly name: string;
  readonly version: string;
  /** the server-side subscriptions that the client had, by channel */
  readonly subs: ReadonlyMap<string, SubscribeRequest>;
}

export interface ChannelRequest {
  readonly channel: string;
}

export interface HistoryRequest extends ChannelRequest {
  readonly limit: number;
  readonly since: { readonly offset: number; readonly epoch: string } | null;
  readonly reverse: boolean;
}

/** The requests by the name of their command. */
export interface Requests {
  readonly connect: ConnectRequest;
  readonly subscribe: SubscribeRequest;
  readonly unsubscribe: ChannelRequest;
  readonly publish: ChannelRequest & { readonly data: Json | null };
  readonly presence: ChannelRequest;
  readonly presence_stats: ChannelRequest;
  readonly history: HistoryRequest;
  readonly ping: object;
  readonly send: { readonly data: Json | null };
  readonly rpc: { readonly data: Json | null; readonly method: string };
  readonly refresh: { readonly token: string };
  readonly sub_refresh: ChannelRequest & { readonly token: string };
}

export type CommandKind = keyof Requests;

/** A command of a client. */
export type Command = {
  readonly [Kind in CommandKind]: {
    readonly kind: Kind;
    /** 0: no reply */
    readonly id: number;
    readonly request: Requests[Kind];
    /** its length in the encoding */
    readonly bytes: number;
  };
}[CommandKind];

/** Commands for a stream, in a request of their own. */
export interface EmulationRequest {
  readonly node: string;
  readonly session: string;
  /** commands in the encoding of the stream */
  readonly data: Buffer;
}

/** The answer to a ping. */
export interface Pong {
  readonly kind: 'pong';
  readonly bytes: number;
}

export interface ClientInfo {
  readonly user: string;
  readonly client: string;
  readonly conn_info?: Buffer;
  readonly chan_info?: Buffer;
}

export interface WirePublication {
  readonly data: Buffer;
  readonly info?: ClientInfo | undefined;
  readonly offset?: number | undefined;
}

export interface Expiry {
  readonly expires?: boolean;
  readonly ttl?: number;
}

export interface SubscribeResult extends Expiry {
  readonly recoverable?: boolean;
  readonly epoch?: string;
  readonly publications?: readonly WirePublication[];
  readonly recovered?: boolean;
  readonly offset?: number;
  readonly positioned?: boolean;
  readonly data?: Buffer;
  readonly was_recovering?: boolean;
}

export interface ConnectResult extends Expiry {
  readonly client: string;
  readonly version: string;
  readonly data?: Buffer;
  readonly subs?: ReadonlyMap<string, SubscribeResult>;
  readonly ping: number;
  readonly pong: boolean;
  readonly session?: string;
  readonly node?: string;
}

/** The results by the name of their command. */
export interface Results {
  readonly connect: ConnectResult;
  readonly subscribe: SubscribeResult;
  readonly unsubscribe: object;
  readonly publish: object;
  readonly presence: { readonly presence: ReadonlyMap<string, ClientInfo> };
  readonly presence_stats: { readonly num_clients: number; readonly num_users: number };
  readonly history: {
    readonly publications: readonly WirePublication[];
    readonly epoch: string;
    readonly offset: number;
  };
  readonly rpc: { readonly data?: Buffer };
  readonly refresh: Expiry & { readonly client: string; readonly version: string };
  readonly sub_refresh: Expiry;
}

export type ResultKind = keyof Results;

/** The messages that the hub sends without a command. */
export interface Pushes {
  readonly pub: WirePublication;
  readonly join: { readonly info: ClientInfo };
  readonly leave: { readonly info: ClientInfo };
  readonly unsubscribe: { readonly code: number; readonly reason: string };
  readonly subscribe: Pick<SubscribeResult, 'recoverable' | 'epoch' | 'offset' | 'positioned' | 'data'>;
  readonly message: { readonly data: Buffer };
  readonly connect: ConnectResult;
  readonly disconnect: { readonly code: number; readonly reason: string };
  readonly refresh: Expiry;
}

export type PushKind = keyof Pushes;

/** A message to a client, by the names of schema.ts. */
export type Outgoing = Readonly<Record<string, unknown>>;

export interface ReplyError {
  readonly code: number;
  readonly message: string;
  /** the client should try again */
  readonly temporary?: boolean;
}
