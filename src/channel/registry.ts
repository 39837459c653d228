/**
 * Channels and who of this worker's connections is on them, many to many. Knows no socket and no clock; what a
 * member is to do with a message is fanout.ts.
 */
import { Channel, type Member } from './channel.ts';

/** Told when the first claim opens a channel and when the last member or claim has gone. */
export interface RegistryObserver<M> {
  opened(channel: Channel<M>): void;
  closed(channel: Channel<M>): void;
}

export class Registry<M extends Member> {
  readonly #byName = new Map<string, Channel<M>>();
  readonly #byId = new Map<number, Channel<M>>();
  readonly #observer: RegistryObserver<M>;
  #lastId = 0;

  constructor(observer: RegistryObserver<M>) {
    this.#observer = observer;
  }

  /** Number of channels with a member or a claim. */
  get size(): number {
    return this.#byName.size;
  }

  get(name: string): Channel<M> | undefined {
    return this.#byName.get(name);
  }

  getById(id: number): Channel<M> | undefined {
    return this.#byId.get(id);
  }

  channels(): MapIterator<Channel<M>> {
    return this.#byName.values();
  }

  /** Begins a join: opens the channel if need be and keeps it until `join` or `abandon`. */
  reserve(name: string): Channel<M> {
    let channel = this.#byName.get(name);
    if (!channel) {
      channel = new Channel<M>(name, ++this.#lastId);
      this.#byName.set(name, channel);
      this.#byId.set(channel.id, channel);
      this.#observer.opened(channel);
    }
    channel.reservations += 1;
    return channel;
  }

  /** Ends a join well: the claim becomes a membership. */
  subscribe(channel: Channel<M>, member: M): void {
    channel.reservations -= 1;
    channel.members.set(member, (channel.lastNumber += 1));
    member.channels.push(channel);
  }

  /** Ends a join whose connection went away. */
  release(channel: Channel<M>): void {
    channel.reservations -= 1;
    this.#closeIfUnused(channel);
  }

  /** Takes a member off all its channels. */
  unsubscribeAll(member: M): void {
    for (const channel of member.channels) {
      channel.members.delete(member);
      this.#closeIfUnused(channel);
    }
    member.channels.length = 0;
  }

  #closeIfUnused(channel: Channel<M>): void {
    if (channel.members.size > 0 || channel.reservations > 0) return;
    this.#byName.delete(channel.name);
    this.#byId.delete(channel.id);
    this.#observer.closed(channel);
  }
}
