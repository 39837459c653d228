/** `wshub api-key`: a random key for a back end, and its entry for the file that WSHUB_API_KEYS_FILE names. */
import { randomBytes } from 'node:crypto';
import { digestOf } from '../auth/api-keys.ts';
import type { ApiKey } from '../config/api-keys-file.ts';

/** Returns the text to print; the key is stored nowhere. */
export function apiKeyText(): string {
  const key = randomBytes(32).toString('base64url');
  const entry: ApiKey = {
    name: 'name-of-the-back-end',
    sha256: digestOf(key).toString('hex'),
    scopes: ['publish'],
    channels: ['*'],
  };
  return `key:   ${key}\nentry: ${JSON.stringify(entry)}`;
}
