/**
 * A relay carries publications between the workers of a hub and knows which siblings have subscribers. It hands the
 * publications of siblings to its host. The host only delivers them locally, so that no publication is sent back to
 * the siblings.
 */
import type { Channel } from '../channel/channel.ts';
import type { Publication } from '../channel/publication.ts';
import { HubError } from '../platform/errors.ts';

/** The part of a channel that a relay uses. */
export type RelayChannel = Pick<Channel<unknown>, 'id' | 'name'> & {
  readonly members: { readonly size: number };
  /** true: siblings must not send publications of the channel for now */
  readonly congested: boolean;
};

/** Number of subscribers that a sibling has on a channel. */
export interface RemoteMembers {
  workerId: string;
  connections: number;
}

/** The last report of a sibling worker about its load. */
export interface Sibling extends RemoteMembers {
  channels: number;
}

/** The connection of a hub to the other workers. Times are milliseconds of the monotonic clock. */
export interface Relay {
  /** the largest payload that can be sent, in bytes */
  readonly maxPublicationBytes: number;
  /** Sets the host. Called once, before any other method. */
  start(host: RelayHost): void;
  /** Announces a channel that got its first local subscriber. */
  announce(channel: RelayChannel): void;
  /** Withdraws a channel that lost its last local subscriber. */
  withdraw(channel: RelayChannel): void;
  /**
   * Calls `done` when all siblings send the publications of the channel to this worker, or at once if they already
   * do.
   */
  whenKnown(channel: RelayChannel, done: () => void): void;
  /** Called when the number of local subscribers of the channel has changed. */
  membersChanged(channel: RelayChannel): void;
  /** Called when `channel.congested` has changed. */
  congestionChanged(channel: RelayChannel): void;
  /**
   * Sends a publication to the siblings with subscribers.
   * @param localMembers subscribers on this worker; the size of the whole audience decides the batching window
   */
  publish(name: string, publication: Publication, localMembers: number, now: number): void;
  /**
   * Writes the collected frames.
   * @param now `Infinity`: write everything, without waiting for batching windows
   * @returns milliseconds until the next call is due; `Infinity`: nothing waits
   */
  flush(now: number): number;
  siblings(): Sibling[];
  /** names of the channels with subscribers on siblings */
  remoteChannels(): Iterable<string>;
  /** Returns the siblings that have subscribers on a channel, by their last reports. */
  remoteWorkers(name: string): RemoteMembers[];
  readonly remoteChannelCount: number;
  /** Number of subscribers on all siblings, by their last reports. */
  remoteMembers(name: string): number;
  /** Returns whether a sibling has subscribers on the channel. */
  knows(name: string): boolean;
}

/** The part of the hub that a relay uses. */
export interface RelayHost {
  /** every channel with local subscribers */
  channels(): Iterable<RelayChannel>;
  /** number of this worker's connections */
  connections(): number;
  /** Requests a flush. */
  wake(): void;
  /** Delivers a publication of a sibling to the local subscribers. The payload is a view into the received chunk. */
  deliver(channelId: number, publication: Publication): void;
  /** Like `deliver`, for a channel that may have no subscriber on this worker. */
  deliverNamed(name: string, publication: Publication): void;
  /** Called in place of `count` publications of a sibling that were dropped. */
  lost(channelId: number, count: number): void;
  /**
   * Called when publications wait for a slow sibling, so that the publishers of the channel should pause.
   * @param isCongested false: they may continue
   */
  congested(channel: string, isCongested: boolean): void;
}

/** The error for a publisher whose message exceeds the limit of the links between workers. */
export function tooBig(bytes: number): HubError {
  return new HubError(
    'message_too_big',
    `${bytes} bytes of JSON are more than workers can send each other in one message (17 MiB)`,
  );
}
