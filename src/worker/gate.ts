/**
 * What a client must pass before its handshake is answered, cheapest first: the page it comes from, then the limits.
 * Only who has passed them costs a look at a token.
 */
import type { Settings } from '../settings.ts';
import { Admission, type Source } from '../connection/admission.ts';
import type { Counters } from '../counters.ts';
import { HubError, type ErrorCode } from '../errors.ts';
import { clientAddress, requestedHostname } from '../http/client-address.ts';
import { isAllowedOrigin } from '../http/origin.ts';
import type { UpgradeRequest } from '../http/upgrade-request.ts';

/** Which refusals count for which reason; all others are bad requests. */
const reasons: Partial<Record<ErrorCode, keyof Counters['rejected']>> = {
  unauthorized: 'unauthorized',
  forbidden: 'unauthorized',
  origin_not_allowed: 'origin',
  unavailable: 'draining',
  overloaded: 'max_connections',
  too_many_connections: 'max_connections_per_address',
  request_timeout: 'timeout',
  rate_limited: 'rate_limit_per_address',
  too_many_connects: 'rate_limit',
  too_many_channels: 'max_channels',
};

/** A walk through all channels tells how many there are; so long its result is used, and added to. */
const channelCountMs = 1_000;

/** What the gate asks of the hub. */
export interface ChannelCount {
  /** somebody of the whole hub is on the channel */
  hasChannel(name: string): boolean;
  /** at least as many as there are, at once */
  maxKnownChannels(): number;
  /** as many as there are; walks through all of them */
  knownChannels(): number;
}

/** Who has passed. */
export interface Pass {
  /** where it comes from; null: where its TCP connection does, and nobody has asked yet */
  address: string | null;
  source: Source;
}

export class Gate {
  readonly #settings: Settings;
  readonly #hub: ChannelCount;
  readonly #counters: Counters;
  readonly #admission: Admission;
  #channels = 0;
  #channelsCountedAt = -Infinity;

  /** @param maxConnections of this worker */
  constructor(settings: Settings, maxConnections: number, hub: ChannelCount, counters: Counters) {
    this.#settings = settings;
    this.#hub = hub;
    this.#counters = counters;
    this.#admission = new Admission({ ...settings, maxConnections });
  }

  /** All who were let in and have not left, connections and handshakes. */
  get inside(): number {
    return this.#admission.connections;
  }

  /** Lets a client in; `leave` must follow. @throws {HubError} it may not come in */
  enter(request: UpgradeRequest, channel: string): Pass {
    const { allowedOrigins, trustProxy } = this.#settings;
    const { origin } = request.headers;
    if (
      origin !== undefined &&
      !isAllowedOrigin(origin, requestedHostname(request, trustProxy), allowedOrigins)
    ) {
      throw new HubError('origin_not_allowed');
    }
    const wanted = this.#admission.byAddress || trustProxy > 0;
    const address = wanted ? clientAddress(request, trustProxy) : null;
    const now = performance.now();
    const source = this.#admission.enter(address ?? '', now);
    if (!this.#hub.hasChannel(channel) && this.#channelsFull(now)) {
      this.#admission.leave(source);
      throw new HubError('too_many_channels');
    }
    return { address, source };
  }

  /** A connection is gone, or a handshake has not become one. */
  leave(source: Source): void {
    this.#admission.leave(source);
  }

  /** Counts a client that was refused, here or elsewhere. */
  readonly count = (error: HubError): void => {
    this.#counters.rejected[reasons[error.code] ?? 'bad_request'] += 1;
  };

  /** To be called now and then. */
  sweep(now: number): void {
    this.#admission.sweep(now);
  }

  #channelsFull(now: number): boolean {
    const { maxChannels } = this.#settings;
    if (this.#hub.maxKnownChannels() < maxChannels) return false;
    if (now - this.#channelsCountedAt >= channelCountMs) {
      this.#channelsCountedAt = now;
      this.#channels = this.#hub.knownChannels();
    }
    if (this.#channels >= maxChannels) return true;
    this.#channels += 1;
    return false;
  }
}
