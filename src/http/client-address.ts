/**
 * Where a request comes from: the peer of its TCP connection, or, behind proxies that the operator trusts, what they
 * say. Each proxy appends the address it was called from to `X-Forwarded-For`; with n trusted ones the n-th from the
 * right was written by the outermost of them, and all before it by anybody.
 */
import { isIP } from 'node:net';
import type { UpgradeRequest } from './upgrade-request.ts';

/** @param trustedHops number of proxies in front of the hub; 0: forwarded headers are ignored */
export function clientAddress(
  request: Pick<UpgradeRequest, 'headers' | 'socket'>,
  trustedHops: number,
): string {
  const peer = request.socket.remoteAddress ?? '';
  if (trustedHops === 0) return peer;
  const forwarded = headerText(request.headers['x-forwarded-for']).split(',');
  const said = forwarded.at(-trustedHops) ?? forwarded[0] ?? '';
  const address = said.trim();
  return isIP(address) === 0 ? peer : address;
}

/** The host that the client has asked for, without the port; a trusted proxy may have put its own into `Host`. */
export function requestedHostname(request: Pick<UpgradeRequest, 'headers'>, trustedHops: number): string {
  const forwarded = trustedHops === 0 ? '' : headerText(request.headers['x-forwarded-host']);
  const host = (forwarded.split(',').at(-trustedHops) ?? '').trim() || (request.headers.host ?? '');
  return URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : '';
}

function headerText(header: string | string[] | undefined): string {
  return Array.isArray(header) ? header.join(',') : (header ?? '');
}
