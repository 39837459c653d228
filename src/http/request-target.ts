/**
 * Request targets (RFC 9112 section 3.2). Clients send the origin-form, `/path?query`; a server must also take the
 * absolute-form, `http://host/path?query`, which clients send to proxies.
 */

export interface RequestTarget {
  /** path and query */
  readonly path: string;
  /** host and port of an absolute-form target, which replace the Host header; null: origin-form */
  readonly host: string | null;
}

/**
 * Visible ASCII without `#` and `\\` (RFC 3986 section 3.3). Koa's URL parser trims whitespace, drops fragments and turns
 * `\\` into `/`, so `/state#` would reach `/state`; on some targets with a fragment it throws.
 */
const originForm = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/;
const absolutePrefix = /^https?:\/\/([^/?]+)/i;

/** @returns null: invalid target */
export function requestTarget(target: string): RequestTarget | null {
  if (originForm.test(target) || target === '*') return { path: target, host: null };
  const [prefix, host] = absolutePrefix.exec(target) ?? [];
  if (prefix === undefined || host === undefined || !URL.canParse(`http://${host}`)) return null;
  const rest = target.slice(prefix.length);
  const path = rest.startsWith('/') ? rest : `/${rest}`;
  return originForm.test(path) ? { path, host } : null;
}
