/** First steps for a user who has started the hub on a terminal. */
import type { Log } from '../platform/log.ts';
import type { Settings } from '../config/settings.ts';

type Facts = Pick<Settings, 'host' | 'jwtSecretFile' | 'jwtPublicKeyFile' | 'jwksUrl'>;

/** Logs the URL, a command to try it, and a warning if clients need no token. */
export function sayFirstSteps(settings: Facts, port: number, log: Log): void {
  const { host, jwtSecretFile, jwtPublicKeyFile, jwksUrl } = settings;
  if ((jwtSecretFile ?? jwtPublicKeyFile ?? jwksUrl) === undefined) {
    log.warn(
      'everybody may connect: set WSHUB_JWT_SECRET_FILE, WSHUB_JWT_PUBLIC_KEY_FILE or WSHUB_JWKS_URL to require tokens',
    );
  }
  const isLocal = ['0.0.0.0', '::', '127.0.0.1', '::1'].includes(host);
  const name = isLocal ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  log.info(`clients connect to ws://${name}:${port}/<channel>`);
  log.info(`try it in two terminals: npx wscat -c ws://${name}:${port}/room1`);
}
