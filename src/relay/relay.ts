/**
 * A relay carries publications between the workers of a hub and tells which of them have subscribers. What comes from
 * others is handed to its host, which may only deliver it locally, so an echo cannot be written.
 */
import type { Channel } from '../channel/channel.ts';
import type { Publication } from '../channel/publication.ts';
import { HubError } from '../platform/errors.ts';

/** What a relay needs of a channel. */
export type RelayChannel = Pick<Channel<unknown>, 'id' | 'name'> & {
  readonly members: { readonly size: number };
  /** the siblings are to send nothing of it for now */
  readonly congested: boolean;
};

/** How many subscribers a sibling has on a channel. */
export interface RemoteMembers {
  workerId: string;
  connections: number;
}

/** A sibling as it last described itself. */
export interface Sibling extends RemoteMembers {
  channels: number;
}

/** What a hub needs to reach the other workers. Times are milliseconds of the monotonic clock. */
export interface Relay {
  /** bytes of the largest payload that it carries */
  readonly maxPublicationBytes: number;
  /** To be called once, before anything else. */
  start(host: RelayHost): void;
  /** Tells of a channel that has its first local subscriber. */
  announce(channel: RelayChannel): void;
  /** Tells of a channel that has lost its last one. */
  withdraw(channel: RelayChannel): void;
  /** Calls `done` once every publisher sends the channel's publications here, at once if all do. */
  whenKnown(channel: RelayChannel, done: () => void): void;
  /** The channel's subscribers changed. */
  membersChanged(channel: RelayChannel): void;
  /** `channel.congested` changed. */
  congestionChanged(channel: RelayChannel): void;
  /** @param localMembers subscribers on this worker: the whole audience decides how long a publication may wait */
  publish(name: string, publication: Publication, localMembers: number, now: number): void;
  /**
   * Writes out what was collected.
   * @param now Infinity ends all rests
   * @returns milliseconds until it is to be called again; Infinity: nothing waits
   */
  flush(now: number): number;
  siblings(): Sibling[];
  remoteChannels(): Iterable<[name: string, members: RemoteMembers[]]>;
  readonly remoteChannelCount: number;
  /** Subscribers of all siblings on a channel, as they last said. */
  remoteMembers(name: string): number;
  /** Some sibling has subscribers on the channel. */
  knows(name: string): boolean;
}

/** What a relay needs of the hub. */
export interface RelayHost {
  /** every channel with local subscribers */
  channels(): Iterable<RelayChannel>;
  /** number of this worker's connections */
  connections(): number;
  /** Something waits to be flushed. */
  wake(): void;
  /** A publication of a sibling for a channel of this worker; the payload is a view into the chunk that was read. */
  deliver(channelId: number, publication: Publication): void;
  /** As `deliver`, for a channel that may have no subscriber here. */
  deliverNamed(name: string, publication: Publication): void;
  /** So many publications of a sibling to a channel of this worker were dropped in this place. */
  lost(channelId: number, count: number): void;
  /** Publications to a channel wait for a sibling: its publishers should pause. False: no longer. */
  congested(channel: string, isCongested: boolean): void;
}

/** The refusal of what is larger than workers can send each other, for the publisher. */
export function tooBig(bytes: number): HubError {
  return new HubError(
    'message_too_big',
    `${bytes} bytes of JSON are more than workers can send each other in one message (17 MiB)`,
  );
}
