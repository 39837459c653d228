/**
 * What a client must pass before its handshake is answered, cheapest first: the page it comes from, then the limits.
 * Only who has passed them costs a look at a token.
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

/** A walk through all channels tells how many there are; so long its result is used, and added to. */
const channelCountMs = 1_000;

/** characters of what a client says of itself */
const maxLogged = 200;

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
export interface Admitted {
  /** where it comes from; null: where its TCP connection does, and nobody has asked yet */
  address: string | null;
  source: AddressQuota;
}

export interface GateOptions {
  settings: Settings;
  /** of this worker */
  maxConnections: number;
  /** clients need no token */
  isOpen: boolean;
  proxies: TrustedProxies;
  hub: ChannelCount;
  counters: Counters;
  log: Log;
}

export class AdmissionControl {
  readonly #options: GateOptions;
  readonly #origins: AllowedOrigins;
  readonly #warnOfOrigin: (members: object) => void;
  readonly #admission: ConnectionLimiter;
  #channels = 0;
  #channelsCountedAt = -Infinity;

  constructor(options: GateOptions) {
    const { settings, maxConnections, log } = options;
    this.#options = options;
    this.#origins = new AllowedOrigins(settings.allowedOrigins);
    this.#warnOfOrigin = rareWarning(log, 'a page was refused: its origin is not in WSHUB_ALLOWED_ORIGINS');
    this.#admission = new ConnectionLimiter({ ...settings, maxConnections });
  }

  /** All who were let in and have not left, connections and handshakes. */
  get inside(): number {
    return this.#admission.connections;
  }

  /** Lets a client in; `leave` must follow. @throws {HubError} it may not come in */
  enter(request: UpgradeRequest, channel: string): Admitted {
    const { proxies, hub } = this.#options;
    const via = proxies.any ? proxies.trace(request) : null;
    this.#checkOrigin(request, via?.hops ?? 0);
    const peer = this.#admission.byAddress ? (request.socket.remoteAddress ?? '') : null;
    const address = via?.address ?? peer;
    const now = performance.now();
    const source = this.#admission.enter(address ?? '', now);
    if (!hub.hasChannel(channel) && this.#channelsFull(now)) {
      this.#admission.leave(source);
      throw new HubError('too_many_channels');
    }
    return { address, source };
  }

  /** A connection is gone, or a handshake has not become one. */
  leave(source: AddressQuota): void {
    this.#admission.leave(source);
  }

  /** Counts a client that was refused, here or elsewhere. */
  readonly count = ({ code }: HubError): void => {
    const { rejected } = this.#options.counters;
    rejected[code] = (rejected[code] ?? 0) + 1;
  };

  /** To be called now and then. */
  sweep(now: number): void {
    this.#admission.sweep(now);
  }

  /** @throws {HubError} the page may not connect */
  #checkOrigin(request: UpgradeRequest, hops: number): void {
    const { origin } = request.headers;
    if (origin === undefined) return;
    const hostname = requestedHostname(request, hops);
    if (this.#origins.allows(origin, hostname)) return;
    // Try it out: a page that is a file, or a development server, with a hub on the same machine.
    const isTrial = this.#options.isOpen && isLocalPage(origin) && isLoopback(hostname);
    if (isTrial && isFromHere(request)) return;
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
