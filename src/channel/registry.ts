/** Channels and their members in this worker. Knows no socket and no clock; fan-out.ts writes to the members. */
import { defaultChannelOptions, type ChannelOptions } from '../config/namespaces.ts';
import { Channel, type Member } from './channel.ts';

/** Called when the first reservation opens a channel, and when the last member or reservation is removed. */
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

  /** Number of channels with a member or a reservation. */
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

  /** Begins a join: opens the channel if necessary and keeps it open until `subscribe` or `release`. */
  reserve(name: string, options: ChannelOptions = defaultChannelOptions): Channel<M> {
    let channel = this.#byName.get(name);
    if (!channel) {
      channel = new Channel<M>(name, ++this.#lastId, options);
      this.#byName.set(name, channel);
      this.#byId.set(channel.id, channel);
      this.#observer.opened(channel);
    }
    channel.reservations += 1;
    return channel;
  }

  /** Ends a join: the reservation becomes a membership. */
  subscribe(channel: Channel<M>, member: M): void {
    channel.reservations -= 1;
    member.number = channel.lastNumber += 1;
    channel.members.add(member);
  }

  /** Ends a join whose client has disconnected. */
  release(channel: Channel<M>): void {
    channel.reservations -= 1;
    this.#closeIfUnused(channel);
  }

  unsubscribe(channel: Channel<M>, member: M): void {
    channel.members.delete(member);
    this.#closeIfUnused(channel);
  }

  #closeIfUnused(channel: Channel<M>): void {
    if (channel.members.size > 0 || channel.reservations > 0) return;
    this.#byName.delete(channel.name);
    this.#byId.delete(channel.id);
    this.#observer.closed(channel);
  }
}
