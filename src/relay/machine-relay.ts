/**
 * The relay of a hub on several machines: publications of channels without history go to the siblings over the mesh, as on
 * one machine, and once to the broker, which passes them to the other machines. Channels with history go their own way.
 */
import { Publication } from '../channel/publication.ts';
import type { Counters } from '../metrics/counters.ts';
import { now as clock } from '../platform/clock.ts';
import type { MachinesLink } from './broker-link/machines-link.ts';
import type { Relay, RelayChannel, RelayHost, RemoteMembers, Sibling } from './relay.ts';

export interface MachineRelayOptions {
  /** reaches the siblings */
  mesh: Relay;
  machines: Pick<MachinesLink, 'follow' | 'unfollow' | 'whenKnown' | 'relay'>;
  /** Returns whether the channel has history. */
  hasHistory: (channel: string) => boolean;
  counters: Counters;
}

const noBytes = Buffer.alloc(0);

export class MachineRelay implements Relay {
  readonly #mesh: Relay;
  readonly #options: MachineRelayOptions;
  /** set by `start` */
  #host!: RelayHost;

  constructor(options: MachineRelayOptions) {
    this.#mesh = options.mesh;
    this.#options = options;
  }

  get maxPublicationBytes(): number {
    return this.#mesh.maxPublicationBytes;
  }

  start(host: RelayHost): void {
    this.#host = host;
    this.#mesh.start(host);
  }

  announce(channel: RelayChannel): void {
    this.#mesh.announce(channel);
    const { machines, hasHistory } = this.#options;
    if (!hasHistory(channel.name)) machines.follow(channel.name);
  }

  withdraw(channel: RelayChannel): void {
    this.#mesh.withdraw(channel);
    this.#options.machines.unfollow(channel.name);
  }

  whenKnown(channel: RelayChannel, done: () => void): void {
    this.#mesh.whenKnown(channel, () => {
      this.#options.machines.whenKnown(channel.name, done);
    });
  }

  membersChanged(channel: RelayChannel): void {
    this.#mesh.membersChanged(channel);
  }

  congestionChanged(channel: RelayChannel): void {
    this.#mesh.congestionChanged(channel);
  }

  publish(name: string, publication: Publication, localMembers: number, now: number): void {
    this.#mesh.publish(name, publication, localMembers, now);
    const { machines, counters } = this.#options;
    const { payload, traced } = publication;
    if (!machines.relay(name, payload, traced?.traceContext ?? noBytes)) counters.dropped.relay_down += 1;
  }

  flush(now: number): number {
    return this.#mesh.flush(now);
  }

  siblings(): Sibling[] {
    return this.#mesh.siblings();
  }

  remoteChannels(): Iterable<string> {
    return this.#mesh.remoteChannels();
  }

  remoteWorkers(name: string): RemoteMembers[] {
    return this.#mesh.remoteWorkers(name);
  }

  get remoteChannelCount(): number {
    return this.#mesh.remoteChannelCount;
  }

  remoteMembers(name: string): number {
    return this.#mesh.remoteMembers(name);
  }

  knows(name: string): boolean {
    return this.#mesh.knows(name);
  }

  /** Delivers a publication of another machine. */
  relayed(channel: string, payload: Buffer, trace: Buffer): void {
    const publication = new Publication(payload, 'relay');
    if (trace.length > 0) {
      publication.traced = { traceContext: trace, startedAt: clock(), relaySeconds: null };
    }
    this.#host.deliverNamed(channel, publication);
  }
}
