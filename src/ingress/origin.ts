/**
 * Decides which web pages may connect. A browser lets any page open a WebSocket to any host, with the user's cookies and network
 * position (cross-site WebSocket hijacking), but always sends the page's `Origin`. Clients without an `Origin` are no browsers,
 * and could send any value.
 */
import { originForm } from '../config/setting-kinds.ts';
import { isLoopback } from '../http/client-address.ts';

export class AllowedOrigins {
  readonly #any: boolean;
  readonly #exact: ReadonlySet<string>;
  /** the parts of `https://*.example` before and after the star */
  readonly #wildcards: readonly (readonly [scheme: string, suffix: string])[];

  /** @param allowed the setting `allowedOrigins` */
  constructor(allowed: readonly string[]) {
    const forms = allowed.map((text) => originForm(text) ?? text);
    this.#any = forms.includes('*');
    this.#exact = new Set(forms.filter((form) => !form.includes('*')));
    this.#wildcards = forms
      .filter((form) => form.includes('://*'))
      .map((form) => form.split('*') as [string, string]);
  }

  /** @param ownHostname the hostname in the client's request */
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

/** Whether the page is of this machine: a file, or of a local server. Sandboxed frames of any page have the origin `null` too. */
export function isLocalPage(origin: string): boolean {
  return origin === 'null' || origin === 'file://' || isLoopback(hostnameOf(originForm(origin) ?? ''));
}

function hostnameOf(form: string): string {
  return URL.canParse(form) ? new URL(form).hostname : '';
}
