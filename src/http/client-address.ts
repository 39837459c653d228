/**
 * The client address of a request: the peer of its TCP connection or, behind trusted proxies, an entry of `X-Forwarded-For`, to
 * which each proxy appends the address of its peer. With a known number of proxies, the n-th entry from the right was written by
 * the outermost one. With known addresses, the client is the first entry from the right that is no proxy. Clients can forge
 * everything before it.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { rareWarning, type Log } from '../platform/log.ts';
import { addressRanges, type TrustProxy } from '../config/setting-kinds.ts';

type Address = ReturnType<typeof ipaddr.process>;
type Range = ReturnType<typeof ipaddr.parseCIDR>;

/** The part of a request that is read; also implemented by handshake-parser.ts. */
interface Request extends Pick<IncomingMessage, 'headers'> {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
}

/** The origin of a request. */
export interface Via {
  /** client address */
  address: string;
  /** number of trusted proxies that it has passed */
  hops: number;
}

export class TrustedProxies {
  readonly #hops: number;
  readonly #ranges: readonly Range[];
  readonly #unreadable: (entry: string) => void;

  /** @param unreadable called with an entry of `X-Forwarded-For` from a trusted proxy that is no address */
  constructor(trust: TrustProxy, unreadable: (entry: string) => void) {
    this.#hops = typeof trust === 'number' ? trust : 0;
    this.#ranges = typeof trust === 'number' ? [] : trust.flatMap(addressRanges).map(parseRange);
    this.#unreadable = unreadable;
  }

  /** False: forwarded headers are ignored. */
  get any(): boolean {
    return this.#hops > 0 || this.#ranges.length > 0;
  }

  trace({ headers, socket }: Request): Via {
    const peer = socket.remoteAddress ?? '';
    if (!this.any) return { address: peer, hops: 0 };
    const forwarded = entriesOf(headers['x-forwarded-for']);
    return this.#hops > 0 ? this.#byNumber(peer, forwarded) : this.#byAddress(peer, forwarded);
  }

  #byNumber(peer: string, forwarded: readonly string[]): Via {
    const said = forwarded.at(-this.#hops) ?? forwarded[0];
    return { address: (said !== undefined && this.#read(said)) || peer, hops: this.#hops };
  }

  #byAddress(peer: string, forwarded: readonly string[]): Via {
    let address = plainAddress(peer) ?? peer;
    let hops = 0;
    while (this.#trusts(address)) {
      hops += 1;
      const said = forwarded.at(-hops);
      const before = said === undefined ? null : this.#read(said);
      if (before === null) break;
      address = before;
    }
    return { address, hops };
  }

  #read(entry: string): string | null {
    const address = plainAddress(entry);
    if (address === null) this.#unreadable(entry);
    return address;
  }

  #trusts(address: string): boolean {
    if (isIP(address) === 0) return false;
    const parsed: Address = ipaddr.process(address);
    return this.#ranges.some((range) => range[0].kind() === parsed.kind() && parsed.match(range));
  }
}

/** Logs an entry of `X-Forwarded-For` that is no address, at a limited rate. */
export function unreadableForwarded(log: Log): (entry: string) => void {
  const warn = rareWarning(
    log,
    'X-Forwarded-For has an entry that is no address: its client counts under the address of a proxy',
  );
  return (entry) => {
    warn({ entry: entry.slice(0, 100), setting: 'WSHUB_TRUST_PROXY' });
  };
}

/** Returns the requested host without its port; from `X-Forwarded-Host` behind trusted proxies, which may change `Host`. */
export function requestedHostname({ headers }: Pick<IncomingMessage, 'headers'>, hops: number): string {
  const forwarded = hops === 0 ? undefined : entriesOf(headers['x-forwarded-host']).at(-hops);
  const host = forwarded ?? headers.host ?? '';
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}

/** Whether the request comes from this machine, without a proxy. */
export function isFromHere({ headers, socket }: Request): boolean {
  const isForwarded = ['x-forwarded-for', 'forwarded', 'via'].some((name) => headers[name] !== undefined);
  return !isForwarded && isLoopback(plainAddress(socket.remoteAddress ?? '') ?? '');
}

/** @param host an address, or a hostname as URL has it */
export function isLoopback(host: string): boolean {
  return (
    /^127\.\d+\.\d+\.\d+$/.test(host) || ['::1', '[::1]'].includes(host) || /(^|\.)localhost$/.test(host)
  );
}

/** Normalizes an address that is quoted, in brackets, with a port, or IPv4-mapped; null: not an address. */
export function plainAddress(text: string): string | null {
  const unquoted = /^"(.*)"$/.exec(text)?.[1] ?? text;
  const withoutPort =
    /^\[([^\]]*)\](?::\d{1,5})?$/.exec(unquoted)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(unquoted)?.[1] ?? unquoted;
  switch (isIP(withoutPort)) {
    case 4:
      return withoutPort;
    case 6:
      return ipaddr.process(withoutPort).toString();
    default:
      return null;
  }
}

function parseRange(text: string): Range {
  return ipaddr.parseCIDR(text);
}

/** Returns the non-empty entries of a list header (RFC 9110 section 5.6.1). */
function entriesOf(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
