/**
 * The messages of the Centrifugal protocol, version 2: names, types and Protobuf numbers of the fields that the hub reads
 * and writes. JSON uses the same names. Fields of features that the hub does not have are absent: both encodings allow
 * unknown fields.
 */

export interface Field {
  /**
   * A scalar type of Protobuf, or the name of a message. `bytes` are a JSON value: in JSON as it is, in Protobuf as its
   * text.
   */
  readonly type: string;
  /** its number in Protobuf */
  readonly id: number;
  readonly isRepeated?: true;
  /** a map from strings */
  readonly isMap?: true;
}

export type MessageName = keyof typeof messages;

const field = (id: number, type: string): Field => ({ id, type });
const map = (id: number, type: string): Field => ({ id, type, isMap: true });
const list = (id: number, type: string): Field => ({ id, type, isRepeated: true });

export const messages = {
  EmulationRequest: {
    node: field(1, 'string'),
    session: field(2, 'string'),
    data: field(3, 'bytes'),
  },
  Command: {
    id: field(1, 'uint32'),
    connect: field(4, 'ConnectRequest'),
    subscribe: field(5, 'SubscribeRequest'),
    unsubscribe: field(6, 'ChannelRequest'),
    publish: field(7, 'PublishRequest'),
    presence: field(8, 'ChannelRequest'),
    presence_stats: field(9, 'ChannelRequest'),
    history: field(10, 'HistoryRequest'),
    ping: field(11, 'Empty'),
    send: field(12, 'Message'),
    rpc: field(13, 'RpcRequest'),
    refresh: field(14, 'RefreshRequest'),
    sub_refresh: field(15, 'SubRefreshRequest'),
  },
  ConnectRequest: {
    token: field(1, 'string'),
    data: field(2, 'bytes'),
    subs: map(3, 'SubscribeRequest'),
    name: field(4, 'string'),
    version: field(5, 'string'),
  },
  SubscribeRequest: {
    channel: field(1, 'string'),
    token: field(2, 'string'),
    recover: field(3, 'bool'),
    epoch: field(6, 'string'),
    offset: field(7, 'uint64'),
    data: field(8, 'bytes'),
    positioned: field(9, 'bool'),
    recoverable: field(10, 'bool'),
    join_leave: field(11, 'bool'),
    delta: field(12, 'string'),
    tf: field(13, 'FilterNode'),
    flag: field(14, 'int64'),
    type: field(15, 'int32'),
  },
  /** only its presence is read: filters are refused */
  FilterNode: { op: field(1, 'string') },
  ChannelRequest: { channel: field(1, 'string') },
  PublishRequest: { channel: field(1, 'string'), data: field(2, 'bytes') },
  HistoryRequest: {
    channel: field(1, 'string'),
    limit: field(7, 'int32'),
    since: field(8, 'StreamPosition'),
    reverse: field(9, 'bool'),
  },
  StreamPosition: { offset: field(1, 'uint64'), epoch: field(2, 'string') },
  RpcRequest: { data: field(1, 'bytes'), method: field(2, 'string') },
  RefreshRequest: { token: field(1, 'string') },
  SubRefreshRequest: { channel: field(1, 'string'), token: field(2, 'string') },
  Empty: {},

  Reply: {
    id: field(1, 'uint32'),
    error: field(2, 'Error'),
    push: field(4, 'Push'),
    connect: field(5, 'ConnectResult'),
    subscribe: field(6, 'SubscribeResult'),
    unsubscribe: field(7, 'Empty'),
    publish: field(8, 'Empty'),
    presence: field(9, 'PresenceResult'),
    presence_stats: field(10, 'PresenceStatsResult'),
    history: field(11, 'HistoryResult'),
    rpc: field(13, 'Message'),
    refresh: field(14, 'RefreshResult'),
    sub_refresh: field(15, 'Expiry'),
  },
  Error: { code: field(1, 'uint32'), message: field(2, 'string'), temporary: field(3, 'bool') },
  ConnectResult: {
    client: field(1, 'string'),
    version: field(2, 'string'),
    expires: field(3, 'bool'),
    ttl: field(4, 'uint32'),
    data: field(5, 'bytes'),
    subs: map(6, 'SubscribeResult'),
    ping: field(7, 'uint32'),
    pong: field(8, 'bool'),
    session: field(9, 'string'),
    node: field(10, 'string'),
  },
  SubscribeResult: {
    expires: field(1, 'bool'),
    ttl: field(2, 'uint32'),
    recoverable: field(3, 'bool'),
    epoch: field(6, 'string'),
    publications: list(7, 'Publication'),
    recovered: field(8, 'bool'),
    offset: field(9, 'uint64'),
    positioned: field(10, 'bool'),
    data: field(11, 'bytes'),
    was_recovering: field(12, 'bool'),
  },
  PresenceResult: { presence: map(1, 'ClientInfo') },
  PresenceStatsResult: { num_clients: field(1, 'uint32'), num_users: field(2, 'uint32') },
  HistoryResult: {
    publications: list(1, 'Publication'),
    epoch: field(2, 'string'),
    offset: field(3, 'uint64'),
  },
  RefreshResult: {
    client: field(1, 'string'),
    version: field(2, 'string'),
    expires: field(3, 'bool'),
    ttl: field(4, 'uint32'),
  },
  Expiry: { expires: field(1, 'bool'), ttl: field(2, 'uint32') },
  ClientInfo: {
    user: field(1, 'string'),
    client: field(2, 'string'),
    conn_info: field(3, 'bytes'),
    chan_info: field(4, 'bytes'),
  },
  Publication: { data: field(4, 'bytes'), info: field(5, 'ClientInfo'), offset: field(6, 'uint64') },

  Push: {
    channel: field(2, 'string'),
    pub: field(4, 'Publication'),
    join: field(5, 'Presence'),
    leave: field(6, 'Presence'),
    unsubscribe: field(7, 'End'),
    message: field(8, 'Message'),
    subscribe: field(9, 'SubscribePush'),
    connect: field(10, 'ConnectResult'),
    disconnect: field(11, 'End'),
    refresh: field(12, 'Expiry'),
  },
  Presence: { info: field(1, 'ClientInfo') },
  SubscribePush: {
    recoverable: field(1, 'bool'),
    epoch: field(4, 'string'),
    offset: field(5, 'uint64'),
    positioned: field(6, 'bool'),
    data: field(7, 'bytes'),
  },
  /** of a subscription or a connection */
  End: { code: field(1, 'uint32'), reason: field(2, 'string') },
  Message: { data: field(1, 'bytes') },
} satisfies Record<string, Record<string, Field>>;

/** Returns the fields of a message. */
export function fieldsOf(name: MessageName): Readonly<Record<string, Field>> {
  return messages[name];
}
