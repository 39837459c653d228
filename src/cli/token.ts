/** `wshub token`: signs a token for a client. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SignJWT } from 'jose';
import { readSecret } from '../auth/jwt.ts';
import { durationMs } from '../config/duration.ts';
import type { Settings } from '../config/settings.ts';
import { messageOf, OperatorError } from '../platform/errors.ts';

export interface TokenRequest {
  /** the claim `sub`; undefined: none */
  readonly user: string | undefined;
  readonly channels: readonly string[];
  /** separated by commas */
  readonly abilities: string;
  /** such as `15m` */
  readonly ttl: string;
  /** PEM; undefined: the configured secret signs */
  readonly keyFile: string | undefined;
}

/** The abilities that a token can have on a channel. */
const known = ['subscribe', 'publish', 'history', 'presence'];

/**
 * Returns the token.
 * @throws {OperatorError} as a rejection: there is no key, or an option is not valid
 */
export async function tokenText(settings: Settings, request: TokenRequest): Promise<string> {
  const can = request.abilities.split(',').map((ability) => ability.trim());
  const unknown = can.find((ability) => !known.includes(ability));
  if (unknown !== undefined) {
    throw new OperatorError(`--can ${unknown} is not allowed, it must be of ${known.join(', ')}`);
  }
  const ttlMs = durationMs(request.ttl);
  if (ttlMs === null)
    throw new OperatorError(`--ttl ${request.ttl} is not allowed, it must be like 90s, 15m, 1h or 30d`);
  const { key, algorithm } = keyOf(settings, request.keyFile);
  const now = Math.floor(Date.now() / 1000);
  const jwt = new SignJWT(
    request.channels.length > 0 ? { channels: request.channels.map((name) => ({ name, can })) } : {},
  )
    .setProtectedHeader({ alg: algorithm })
    .setIssuedAt(now)
    .setExpirationTime(now + Math.ceil(ttlMs / 1000));
  if (request.user !== undefined) jwt.setSubject(request.user);
  if (settings.jwtIssuer !== undefined) jwt.setIssuer(settings.jwtIssuer);
  if (settings.jwtAudience !== undefined) jwt.setAudience(settings.jwtAudience);
  return jwt.sign(key);
}

function keyOf(settings: Settings, keyFile: string | undefined): { key: KeyObject; algorithm: string } {
  if (keyFile !== undefined) {
    const key = privateKey(keyFile);
    return { key, algorithm: algorithmOf(key, keyFile) };
  }
  const { jwtSecretFile, jwtAllowShortSecret } = settings;
  if (jwtSecretFile === undefined) {
    throw new OperatorError('no key: set WSHUB_JWT_SECRET_FILE, or name a private key with --key');
  }
  return { key: readSecret(jwtSecretFile, jwtAllowShortSecret), algorithm: 'HS256' };
}

function privateKey(file: string): KeyObject {
  try {
    return createPrivateKey(readFileSync(file));
  } catch (cause) {
    throw new OperatorError(`${file} contains no PEM private key that can be read: ${messageOf(cause)}`, {
      cause,
    });
  }
}

const curveAlgorithms: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};

/** Returns an algorithm that the hub accepts for the key. */
function algorithmOf(
  { asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject,
  file: string,
): string {
  if (type === 'rsa') return 'RS256';
  if (type === 'ed25519') return 'EdDSA';
  const algorithm = type === 'ec' ? curveAlgorithms[details?.namedCurve ?? ''] : undefined;
  if (algorithm === undefined)
    throw new OperatorError(`${file} contains a key of the type ${type}, which the hub does not accept`);
  return algorithm;
}
