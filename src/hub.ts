/**
 * The hub in one worker: joins connections to channels, delivers to local members, and publishes to everyone.
 * `publish` leaves the worker, `deliver` does not, and what comes from a sibling may only be delivered. All that
 * one turn of the event loop brings is written out together: to the siblings first, then to the sockets.
 */
import type { Channel } from './channel/channel.ts';
import { Publication } from './channel/publication.ts';
import { Congestion } from './channel/congestion.ts';
import { FanOut } from './channel/fan-out.ts';
import { Registry, type RegistryObserver } from './channel/registry.ts';
import { batchingLimits } from './channel/batching.ts';
import { ClientRegistry } from './client/client-registry.ts';
import type { Client, ClientOwner } from './client/client.ts';
import { SlowConsumers, type OutboxLimits } from './client/slow-consumers.ts';
import type { Counters } from './metrics/counters.ts';
import type { OnTraced } from './tracing/traced.ts';
import type { Log } from './platform/log.ts';
import { skippedMessage } from './protocol/plain/messages.ts';
import { frameTexts } from './transport/websocket/frame-writer.ts';
import { maxPublicationBytes } from './relay/mesh/frame.ts';
import { tooBig } from './relay/mesh/frame-encoder.ts';
import { Mesh, type MeshHost, type RemoteMembers } from './relay/mesh/mesh.ts';
import type { MeshIdentity } from './ipc/messages.ts';
import { FlushScheduler } from './platform/flush-scheduler.ts';

/** The whole hub as one worker knows it; what siblings hold is at most a second old. */
export interface HubState {
  /** the worker that speaks */
  workerId: string;
  /** connections of all workers */
  connections: number;
  workers: { workerId: string; connections: number; channels: number }[];
  channels: { channel: string; connections: number; workers: RemoteMembers[] }[];
}

/** The settings that a hub follows. */
export interface HubLimits extends OutboxLimits {
  maxBatchDelayMs: number;
  workers: number;
}

/** What becomes of calls between workers; see handlers/commands.ts. */
export type CallHost = Pick<MeshHost, 'call' | 'result' | 'linkClosed'>;

export class Hub implements ClientOwner, RegistryObserver<Client>, MeshHost {
  readonly workerId: string;
  readonly outboxSoftBytes: number;
  readonly slowConsumers: SlowConsumers<Client>;
  readonly clients = new ClientRegistry<Client>();
  readonly registry: Registry<Client>;
  readonly mesh: Mesh;
  readonly #fanout: FanOut<Client>;
  readonly #congestion = new Congestion();
  readonly #counters: Counters;
  readonly #turn = new FlushScheduler(() => {
    const now = performance.now();
    return Math.min(this.mesh.flush(now), this.#fanout.flush(now));
  });
  #calls: CallHost | null = null;

  constructor(self: MeshIdentity, limits: HubLimits, log: Log, counters: Counters) {
    this.workerId = self.workerId;
    this.outboxSoftBytes = Math.min(limits.outboxSoftBytes, limits.outboxMaxBytes);
    this.slowConsumers = new SlowConsumers({ ...limits, outboxSoftBytes: this.outboxSoftBytes });
    this.#counters = counters;
    this.registry = new Registry<Client>(this);
    const rests = batchingLimits(limits.maxBatchDelayMs, limits.workers);
    this.mesh = new Mesh(self, this, rests, log, counters);
    this.#fanout = new FanOut<Client>({
      frame: frameTexts,
      audience: ({ name, members }) => members.size + this.mesh.remoteMembers(name),
      batching: rests,
      onSlow: (connection) => {
        this.slow(connection);
      },
      onCongested: (channel) => {
        this.congested(channel.name, channel.congested);
        this.mesh.announcer.hold(channel);
      },
      counters,
    });
  }

  /** Who is told of traced messages. */
  set onTraced(onTraced: OnTraced) {
    this.#fanout.onTraced = onTraced;
  }

  /** Who answers the commands that siblings call. */
  set calls(calls: CallHost) {
    this.#calls = calls;
  }

  /** Begins a join: the siblings learn of the channel. It ends with `join` or `abandon`. */
  reserve(name: string): Channel<Client> {
    return this.registry.reserve(name);
  }

  /** Calls `ready` once every sibling sends the channel's messages here, at once if they do already. */
  whenKnown(channel: Channel<Client>, ready: () => void): void {
    this.mesh.announcer.whenKnown(channel, ready);
  }

  /** Ends a join well. What is written to the connection in this turn goes before any message of the channel. */
  subscribe(channel: Channel<Client>, connection: Client): void {
    this.registry.subscribe(channel, connection);
    this.#fanout.joined(channel, connection);
    this.mesh.announcer.markChanged(channel);
  }

  /** Ends a join whose client did not become a connection. */
  release(channel: Channel<Client>): void {
    this.registry.release(channel);
  }

  /** Takes a connection off its channels, after writing what they still owe it. */
  unsubscribeAll(connection: Client): void {
    this.slowConsumers.forget(connection);
    for (const channel of connection.channels) {
      this.#fanout.flushTo(channel, connection);
      this.mesh.announcer.markChanged(channel);
    }
    this.registry.unsubscribeAll(connection);
  }

  /**
   * Sends a message to everyone on the channel, whichever worker they are on.
   * @throws {HubError} `message_too_big`: it does not fit into a link frame, so it is not delivered here either
   */
  publish(name: string, publication: Publication<Client>): void {
    const { payload, source } = publication;
    if (payload.length > maxPublicationBytes) throw tooBig(payload.length);
    if (source !== 'relay') this.#counters.received[source] += 1;
    const channel = this.registry.get(name);
    this.mesh.publish(name, publication, channel?.members.size ?? 0, performance.now());
    if (channel) this.#fanout.push(channel, publication);
    this.#turn.request();
  }

  /** Messages of the channel come faster than they are written here or taken by a sibling: publishers should pause. */
  isCongested(name: string): boolean {
    return this.#congestion.has(name);
  }

  /** Calls back when the channel is no longer congested, at once if it is not. */
  whenFlowing(name: string, resume: () => void): void {
    this.#congestion.wait(name, resume);
  }

  /** What the whole hub holds, as this worker knows it. Walks through all channels. */
  state(): HubState {
    const channels = new Map<string, RemoteMembers[]>();
    for (const { name, members } of this.registry.channels()) {
      channels.set(name, [{ workerId: this.workerId, connections: members.size }]);
    }
    for (const [name, remote] of this.mesh.remoteChannels()) {
      channels.set(name, [...(channels.get(name) ?? []), ...remote]);
    }
    const own = {
      workerId: this.workerId,
      connections: this.clients.size,
      channels: this.registry.size,
    };
    const workers = [own, ...this.mesh.siblings()];
    return {
      workerId: this.workerId,
      connections: sum(workers),
      workers,
      channels: Array.from(channels, ([channel, on]) => ({ channel, connections: sum(on), workers: on })),
    };
  }

  /** Number of channels of the whole hub, as this worker knows it. */
  knownChannels(): number {
    let onlyHere = 0;
    for (const { name } of this.registry.channels()) if (!this.mesh.knows(name)) onlyHere += 1;
    return onlyHere + this.mesh.remoteChannelCount;
  }

  /** Somebody of the whole hub is on the channel, as far as this worker knows. */
  hasChannel(name: string): boolean {
    return this.registry.get(name) !== undefined || this.mesh.knows(name);
  }

  /** Never fewer than `knownChannels`, and known at once. */
  maxKnownChannels(): number {
    return this.registry.size + this.mesh.remoteChannelCount;
  }

  /** Writes out at once what waits for the end of the turn. */
  flush(): void {
    this.mesh.flush(Infinity);
    this.#fanout.flush(Infinity);
  }

  // ConnectionOwner, besides `leaving`

  catchUp(connection: Client): void {
    for (const channel of connection.channels) this.#fanout.catchUp(channel, connection);
  }

  slow(connection: Client): void {
    if (connection.state === 'open') this.slowConsumers.report(connection, performance.now());
  }

  skipped(messages: number): void {
    this.#fanout.skipped += 1;
    this.#counters.dropped.slow_consumer += messages;
  }

  // RegistryObserver

  opened(channel: Channel<Client>): void {
    this.mesh.announcer.announce(channel);
  }

  closed(channel: Channel<Client>): void {
    this.#fanout.forget(channel);
    this.mesh.announcer.withdraw(channel);
  }

  // MeshHost

  channels(): Iterable<Channel<Client>> {
    return this.registry.channels();
  }

  connections(): number {
    return this.clients.size;
  }

  deliver(channelId: number, publication: Publication): void {
    const channel = this.registry.getById(channelId);
    if (!channel || channel.members.size === 0) return;
    this.#fanout.push(channel, publication as Publication<Client>); // a relayed one has no sender here
    this.#turn.request();
  }

  deliverNamed(name: string, publication: Publication): void {
    const channel = this.registry.get(name);
    if (channel) this.deliver(channel.id, publication);
  }

  /** Tells the members in the place of what they did not get. */
  lost(channelId: number, count: number): void {
    this.deliver(channelId, new Publication(Buffer.from(skippedMessage(count)), 'relay'));
  }

  congested(channel: string, isCongested: boolean): void {
    if (isCongested) this.#congestion.begin(channel);
    else this.#congestion.end(channel);
  }

  wake(): void {
    this.#turn.request();
  }

  call(from: string, value: unknown): void {
    this.#calls?.call(from, value);
  }

  result(from: string, value: unknown): void {
    this.#calls?.result(from, value);
  }

  linkClosed(sibling: string): void {
    this.#calls?.linkClosed(sibling);
  }
}

function sum(parts: readonly { connections: number }[]): number {
  return parts.reduce((total, { connections }) => total + connections, 0);
}
