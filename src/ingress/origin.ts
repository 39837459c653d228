/**
 * Which web pages may connect. A browser lets any page open a WebSocket to any host and sends the user's cookies and
 * network position along (cross-site WebSocket hijacking), but it always says in `Origin` whose page it is. What sends
 * no `Origin` is no browser, and could say anything.
 */
import { originForm } from '../config/setting-kinds.ts';
import { isLoopback } from '../http/client-address.ts';

export class AllowedOrigins {
  readonly #any: boolean;
  readonly #exact: ReadonlySet<string>;
  /** of `https://*.example`: what stands before the star and behind it */
  readonly #wildcards: readonly (readonly [scheme: string, suffix: string])[];

  /** @param allowed see the setting */
  constructor(allowed: readonly string[]) {
    const forms = allowed.map((text) => originForm(text) ?? text);
    this.#any = forms.includes('*');
    this.#exact = new Set(forms.filter((form) => !form.includes('*')));
    this.#wildcards = forms
      .filter((form) => form.includes('://*'))
      .map((form) => form.split('*') as [string, string]);
  }

  /** @param ownHostname as the client has asked for it */
  allows(origin: string, ownHostname: string): boolean {
    if (this.#any || this.#exact.has(origin)) return true;
    const form = originForm(origin);
    if (form === null) return false;
    const hostname = hostnameOf(form);
    return (
      (hostname !== '' && hostname === ownHostname) ||
      this.#exact.has(form) ||
      this.#wildcards.some(
        ([scheme, suffix]) =>
          form.startsWith(scheme) && form.endsWith(suffix) && form.length > scheme.length + suffix.length,
      )
    );
  }
}

/** A page of this machine: a file, or of a server on it. Sandboxed frames of any page have the origin `null` too. */
export function isLocalPage(origin: string): boolean {
  return origin === 'null' || origin === 'file://' || isLoopback(hostnameOf(originForm(origin) ?? ''));
}

function hostnameOf(form: string): string {
  return URL.canParse(form) ? new URL(form).hostname : '';
}
