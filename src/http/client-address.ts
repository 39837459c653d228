/**
 * Where a request comes from: the peer of its TCP connection, or, behind proxies that the operator trusts, what they
 * say. Each proxy appends the address it was called from to `X-Forwarded-For`. Either their number is known, and the
 * n-th entry from the right was written by the outermost of them; or their addresses are, and the first entry from the
 * right that is none of theirs is the client. Everything before it may be written by anybody.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { rareWarning, type Log } from '../platform/log.ts';
import { addressRanges, type TrustProxy } from '../config/setting-kinds.ts';

type Address = ReturnType<typeof ipaddr.process>;
type Range = ReturnType<typeof ipaddr.parseCIDR>;

/** What is read of a request; a handshake that node:http did not parse has no more. */
interface Request extends Pick<IncomingMessage, 'headers'> {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
}

/** The way of a request to the hub. */
export interface Via {
  /** where it comes from */
  address: string;
  /** trusted proxies that passed it on */
  hops: number;
}

export class TrustedProxies {
  readonly #hops: number;
  readonly #ranges: readonly Range[];
  readonly #unreadable: (entry: string) => void;

  /** @param unreadable called with an entry of `X-Forwarded-For` that a trusted proxy wrote and that is no address */
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

/** Warns of an entry of `X-Forwarded-For` that cannot be read. */
export function unreadableForwarded(log: Log): (entry: string) => void {
  const warn = rareWarning(
    log,
    'X-Forwarded-For has an entry that is no address: its client counts under the address of a proxy',
  );
  return (entry) => {
    warn({ entry: entry.slice(0, 100), setting: 'WSHUB_TRUST_PROXY' });
  };
}

/** The host that the client has asked for, without the port; trusted proxies may have put their own into `Host`. */
export function requestedHostname({ headers }: Pick<IncomingMessage, 'headers'>, hops: number): string {
  const forwarded = hops === 0 ? undefined : entriesOf(headers['x-forwarded-host']).at(-hops);
  const host = forwarded ?? headers.host ?? '';
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}

/** The request comes from this machine, and no proxy has passed it on. */
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

/** The one form of an address that is quoted, in brackets, with a port, or an IPv4 one within IPv6; null: it is none. */
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

/** The entries of a header that is a list (RFC 9110 section 5.6.1), without the empty ones. */
function entriesOf(header: string | string[] | undefined): string[] {
  const text = Array.isArray(header) ? header.join(',') : (header ?? '');
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
