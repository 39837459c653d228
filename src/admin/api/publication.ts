/** The parameters of `publish` and `broadcast`. */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { HubError } from '../../platform/errors.ts';
import { isIdempotencyKey } from '../../relay/broker-link/idempotency-key.ts';
import { badKey } from '../publish-message.ts';
import { ApiError } from './errors.ts';

export const publicationParams = {
  /** JSON text, published as it is */
  data: z.string().exactOptional(),
  /** the same in base64 */
  b64data: z.string().default(''),
  idempotency_key: z.string().default(''),
  // The hub has none of these. `delta` only saves bytes.
  skip_history: z.boolean().default(false),
  tags: z.record(z.string(), z.string()).default({}),
  version: z.number().default(0),
};

interface PublicationParams {
  data?: string;
  b64data: string;
  idempotency_key: string;
  skip_history: boolean;
  tags: Readonly<Record<string, string>>;
  version: number;
}

/**
 * Reads the data of a publication.
 * @throws {ApiError} the hub does not support an option
 * @throws {HubError} the data or the key is not valid
 */
export function readPublication(
  { data, b64data, idempotency_key: key, skip_history: skipHistory, tags, version }: PublicationParams,
  maxPayload: number,
): { payload: string; key: string | undefined } {
  if (skipHistory) throw notAvailable('skip_history');
  if (version !== 0) throw notAvailable('version');
  if (Object.keys(tags).length > 0) throw notAvailable('tags');
  if (key !== '' && !isIdempotencyKey(key)) throw badKey('idempotency_key');
  const payload = jsonText(data, b64data, maxPayload);
  if (payload === undefined) throw new HubError('bad_request', 'data is missing');
  return { payload, key: key === '' ? undefined : key };
}

/**
 * Returns the JSON text of a parameter that may also come in base64; undefined: of none.
 * @throws {HubError} it is not JSON, or too big
 */
export function jsonText(plain: string | undefined, base64: string, maxBytes: number): string | undefined {
  const text = base64 === '' ? plain : decoded(base64);
  if (text === undefined) return undefined;
  if (Buffer.byteLength(text) > maxBytes) throw new HubError('message_too_big');
  try {
    JSON.parse(text);
  } catch (cause) {
    throw new HubError('bad_json', 'the data is not valid JSON', { cause });
  }
  return text;
}

function notAvailable(parameter: string): ApiError {
  return new ApiError('not_available', `${parameter} is not supported`);
}

function decoded(base64: string): string {
  const bytes = Buffer.from(base64, 'base64');
  if (!isUtf8(bytes)) throw new HubError('bad_json', 'the base64 text is not JSON in UTF-8');
  return bytes.toString();
}
