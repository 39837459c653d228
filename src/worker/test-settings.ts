/** Warns of settings that are for tests only, so that they are not forgotten. */
import type { Settings } from '../config/settings.ts';
import type { Log } from '../platform/log.ts';

const repeatMs = 60_000;

export function warnOfTestSettings(
  { insecure, jwtAllowShortSecret }: Pick<Settings, 'insecure' | 'jwtAllowShortSecret'>,
  log: Log,
): void {
  if (jwtAllowShortSecret) {
    log.warn(
      'WSHUB_JWT_ALLOW_SHORT_SECRET is on: a short token secret can be guessed; use it for tests only',
    );
  }
  if (insecure === 'false') return;
  const warn = () => {
    log.warn(
      'WSHUB_INSECURE is on: every client of a Centrifugal SDK may do everything; use it for tests only',
    );
  };
  warn();
  if (insecure === 'force') setInterval(warn, repeatMs).unref();
}
