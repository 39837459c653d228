/** What somebody who starts the hub on a terminal wants to know next. */
import type { Log } from '../platform/log.ts';
import type { Settings } from '../config/settings.ts';

type Facts = Pick<Settings, 'host' | 'jwtSecretFile' | 'jwtPublicKeyFile' | 'jwksUrl'>;

/** Logs the URL, a command to try it with, and whether everybody may connect. */
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
