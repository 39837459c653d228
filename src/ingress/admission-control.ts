/**
 * The checks before a handshake is answered, cheapest first: the origin of the page, then the limits. Tokens are verified only
 * after them.
 */
import type { Settings } from '../config/settings.ts';
import type { AddressQuota } from '../client/client.ts';
import { ConnectionLimiter } from './connection-limiter.ts';
import type { Counters } from '../metrics/counters.ts';
import { HubError } from '../platform/errors.ts';
import { isFromHere, isLoopback, requestedHostname, type TrustedProxies } from '../http/client-address.ts';
import { AllowedOrigins, isLocalPage } from './origin.ts';
import type { UpgradeRequest } from './handshake-parser.ts';
import { rareWarning, type Log } from '../platform/log.ts';

/** How long a full count of the channels is cached; new channels are added to it meanwhile. */
const channelCountMs = 1_000;

/** Maximum characters of logged header values. */
const maxLogged = 200;

/** The part of the hub that is needed. */
export interface ChannelCount {
  /** whether any worker has a subscriber of the channel */
  hasChannel(name: string): boolean;
  /** an upper bound, computed at once */
  maxKnownChannels(): number;
  /** the exact number; iterates over all channels */
  knownChannels(): number;
}

/** A client that has passed the checks. */
export interface Admitted {
  /** client address; null: the address of the TCP connection, not read yet */
  address: string | null;
  source: AddressQuota;
}

export interface AdmissionOptions {
  settings: Settings;
  /** maximum connections of this worker */
  maxConnections: number;
  /** clients need no token */
  isOpen: boolean;
  proxies: TrustedProxies;
  hub: ChannelCount;
  counters: Counters;
  log: Log;
}

export class AdmissionControl {
  readonly #options: AdmissionOptions;
  readonly #origins: AllowedOrigins;
  readonly #warnOfOrigin: (members: object) => void;
  readonly #limiter: ConnectionLimiter;
  #channels = 0;
  #channelsCountedAt = -Infinity;

  constructor(options: AdmissionOptions) {
    const { settings, maxConnections, log } = options;
    this.#options = options;
    this.#origins = new AllowedOrigins(settings.allowedOrigins);
    this.#warnOfOrigin = rareWarning(log, 'a page was refused: its origin is not in WSHUB_ALLOWED_ORIGINS');
    this.#limiter = new ConnectionLimiter({ ...settings, maxConnections });
  }

  /** Number of admitted clients: connections and pending handshakes. */
  get inside(): number {
    return this.#limiter.connections;
  }

  /**
   * Admits a client; the caller must call `leave` later.
   * @param channel null: the client names its channels later, see `fits`
   * @throws {HubError} the client is refused
   */
  enter(request: UpgradeRequest, channel: string | null): Admitted {
    const { proxies } = this.#options;
    const via = proxies.any ? proxies.trace(request) : null;
    const isAllowed = this.#allowsOrigin(request, via?.hops ?? 0);
    const peer = this.#limiter.byAddress ? (request.socket.remoteAddress ?? '') : null;
    const address = via?.address ?? peer;
    const now = performance.now();
    if (!isAllowed) {
      this.#charge(address, now);
      this.#refuseOrigin(request, via?.hops ?? 0);
    }
    const source = this.#limiter.enter(address ?? '', now);
    if (channel !== null && !this.#fits(channel, now)) {
      this.#limiter.leave(source);
      throw new HubError('too_many_channels');
    }
    return { address, source };
  }

  /**
   * Charges a request that is refused before `enter` to the rate of its address, so that invalid requests cost as much as
   * others.
   * @returns the error to answer with: `error`, or that of a rate that is exceeded
   */
  refused(request: UpgradeRequest, error: HubError): HubError {
    const { proxies } = this.#options;
    const peer = this.#limiter.byAddress ? (request.socket.remoteAddress ?? '') : null;
    const address = proxies.any ? proxies.trace(request).address : peer;
    return this.#charge(address, performance.now()) ?? error;
  }

  /** Returns whether the hub may have this channel, which counts from now on. */
  fits(channel: string): boolean {
    return this.#fits(channel, performance.now());
  }

  #fits(channel: string, now: number): boolean {
    return this.#options.hub.hasChannel(channel) || !this.#channelsFull(now);
  }

  /** Whether the page of a request may connect; true for requests of no page. */
  allowsOrigin(request: UpgradeRequest): boolean {
    const { proxies } = this.#options;
    return this.#allowsOrigin(request, proxies.any ? proxies.trace(request).hops : 0);
  }

  /** Must be called when an admitted connection is closed, or its handshake has failed. */
  leave(source: AddressQuota): void {
    this.#limiter.leave(source);
  }

  /** Counts a refused client. */
  readonly count = ({ code }: HubError): void => {
    const { rejected } = this.#options.counters;
    rejected[code] = (rejected[code] ?? 0) + 1;
  };

  /** Must be called periodically. */
  sweep(now: number): void {
    this.#limiter.sweep(now);
  }

  #allowsOrigin(request: UpgradeRequest, hops: number): boolean {
    const { origin } = request.headers;
    if (origin === undefined) return true;
    const hostname = requestedHostname(request, hops);
    if (this.#origins.allows(origin, hostname)) return true;
    // For trying out: a page from a file or a development server, with a hub on the same machine.
    const isTrial = this.#options.isOpen && isLocalPage(origin) && isLoopback(hostname);
    return isTrial && isFromHere(request);
  }

  /** Returns the error of a rate that is exceeded; null: none is. */
  #charge(address: string | null, now: number): HubError | null {
    try {
      this.#limiter.charge(address ?? '', now);
      return null;
    } catch (limit) {
      if (limit instanceof HubError) return limit;
      throw limit;
    }
  }

  #refuseOrigin(request: UpgradeRequest, hops: number): never {
    const { origin = '' } = request.headers;
    const hostname = requestedHostname(request, hops);
    this.#warnOfOrigin({ origin: origin.slice(0, maxLogged), hostname: hostname.slice(0, maxLogged) });
    throw new HubError('origin_not_allowed');
  }

  #channelsFull(now: number): boolean {
    const { settings, hub } = this.#options;
    const { maxChannels } = settings;
    if (hub.maxKnownChannels() < maxChannels) return false;
    if (now - this.#channelsCountedAt >= channelCountMs) {
      this.#channelsCountedAt = now;
      this.#channels = hub.knownChannels();
    }
    if (this.#channels >= maxChannels) return true;
    this.#channels += 1;
    return false;
  }
}
