/** The checks of what the settings expose: clients without tokens, admin routes, origins, proxies, limits. */
import { limitSettings } from '../../config/limit-settings.ts';
import type { Settings } from '../../config/settings.ts';
import type { Setting } from '../../config/setting-kinds.ts';
import { isLoopback } from '../../http/client-address.ts';
import { ok, skip, warn, type Check } from './finding.ts';

export const settingChecks: readonly Check[] = [
  (_, settings) =>
    hasKey(settings)
      ? ok('clients need a token')
      : warn(
          'no token key: everybody may connect, publish and subscribe',
          'WSHUB_JWT_SECRET_FILE=/path/to/secret   # or WSHUB_JWT_PUBLIC_KEY_FILE, WSHUB_JWKS_URL',
        ),

  (_, { insecure, jwtAllowShortSecret }) => {
    if (insecure !== 'false') {
      return warn(
        'WSHUB_INSECURE is on: every client of a Centrifugal SDK may do everything',
        'WSHUB_INSECURE=false   # it is for tests only',
      );
    }
    return jwtAllowShortSecret
      ? warn(
          'WSHUB_JWT_ALLOW_SHORT_SECRET is on: a short token secret can be guessed',
          'WSHUB_JWT_ALLOW_SHORT_SECRET=false   # it is for tests only',
        )
      : ok('no setting for tests is on');
  },

  (_, { adminPublic, host, port }) => {
    if (!adminPublic) return ok('admin routes are on the ops port only');
    if (isLoopback(host)) return ok('admin routes on the public port are reachable only from this machine');
    return warn(
      `admin routes are reachable on the public port (${host} port ${port}), protected by the admin token alone`,
      'WSHUB_ADMIN_PUBLIC=false   # leaves them to the ops port',
    );
  },

  (_, { opsHost, opsPort }) =>
    isLoopback(opsHost)
      ? ok('the ops port is reachable only from this machine')
      : warn(
          `the ops port (${opsHost} port ${opsPort}) is reachable from other machines; its metrics need no token`,
          'WSHUB_OPS_HOST=127.0.0.1   # or a firewall that admits only Prometheus',
        ),

  (_, settings) => {
    const { allowedOrigins } = settings;
    if (allowedOrigins.length === 0) {
      return warn(
        "no allowed origins: only web pages on the hub's own host name may connect",
        'WSHUB_ALLOWED_ORIGINS=https://app.example',
      );
    }
    if (allowedOrigins.includes('*') && !hasKey(settings)) {
      return warn(
        'web pages of any origin may connect, and clients need no token',
        'WSHUB_ALLOWED_ORIGINS=https://app.example   # or a token key',
      );
    }
    return ok(`web pages of ${allowedOrigins.join(', ')} may connect`);
  },

  ({ proxies }, { trustProxy, host }) => {
    if (trustProxy !== 0) return ok(`forwarded headers of ${trusted(trustProxy)} are trusted`);
    const fix = "WSHUB_TRUST_PROXY=1   # the number of proxies in front; only they may reach the hub's port";
    const effect = 'all clients seem to have its address, and limits per address hit all of them';
    const [proxy] = proxies;
    if (proxy !== undefined) return warn(`${proxy} runs here, but no proxy is trusted: ${effect}`, fix);
    if (isLoopback(host))
      return warn(`${host} is only reachable through a proxy, but none is trusted: ${effect}`, fix);
    return skip('proxies: none is trusted; whether one on another machine is in front is not visible here');
  },

  (_, settings) => {
    const off = Object.entries<Setting<unknown>>(limitSettings).filter(
      ([name, row]) => row.default !== 0 && settings[name as keyof Settings] === 0,
    );
    if (off.length > 0) {
      const variables = off.map(([, { env }]) => env);
      return warn(
        `limits switched off: ${variables.join(', ')}`,
        off.map(([, { env, default: value }]) => `${env}=${String(value)}`).join(' '),
      );
    }
    const { messageRate, maxPayload, outboxMaxBytes, connectRate, maxConnectionsPerAddress } = settings;
    const perAddress = maxConnectionsPerAddress === 0 ? 'any number of' : maxConnectionsPerAddress;
    return ok(
      `limits per client: ${messageRate} messages/s of ${maxPayload} bytes, ${outboxMaxBytes} bytes queued; ` +
        `per worker: ${connectRate} connects/s, ${perAddress} connections per address`,
    );
  },
];

function hasKey({ jwtSecretFile, jwtPublicKeyFile, jwksUrl }: Settings): boolean {
  return (jwtSecretFile ?? jwtPublicKeyFile ?? jwksUrl) !== undefined;
}

function trusted(trustProxy: Exclude<Settings['trustProxy'], 0>): string {
  if (typeof trustProxy !== 'number') return trustProxy.join(', ');
  return trustProxy === 1 ? 'one proxy' : `${trustProxy} proxies`;
}
