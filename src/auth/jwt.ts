/**
 * Verifies client tokens: JWTs signed with the key, or with a key of the set, in the settings. The type of the key fixes the
 * algorithms, so a token cannot choose how it is verified: neither `none` nor an HMAC with a public key as its secret (RFC 8725
 * sections 2.1 and 3.1). Tokens are neither logged nor quoted in error messages.
 */
import { createPublicKey, createSecretKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { errors, jwtVerify, type JWTVerifyOptions } from 'jose';
import type { Settings } from '../config/settings.ts';
import { HubError, OperatorError, messageOf } from '../platform/errors.ts';
import { keySet, KeysUnavailableError } from './key-set.ts';
import { ClaimsError, grantOf, type Grant, type Lifetime } from './grant.ts';

export type TokenSettings = Pick<
  Settings,
  | 'jwtSecretFile'
  | 'jwtPublicKeyFile'
  | 'jwksUrl'
  | 'jwtAudience'
  | 'jwtIssuer'
  | 'jwtLeewayMs'
  | 'jwtMaxTtlMs'
  | 'jwtAllowShortSecret'
  | 'insecure'
>;

/** RFC 7518 section 3.2: an HMAC key is at least as long as its hash. */
const minSecretBytes = 32;
/** RFC 7518 section 3.3 */
const minRsaBits = 2048;

const rsaAlgorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'];
const curveAlgorithms: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
};
const publicKeyAlgorithms = [...rsaAlgorithms, ...Object.values(curveAlgorithms), 'EdDSA', 'Ed25519'];

/** Verifies a token and returns its claims. */
type Verify = (token: string) => Promise<Readonly<Record<string, unknown>>>;

export class ClientTokens {
  readonly #verify: Verify;
  readonly #lifetime: Lifetime;

  private constructor(verify: Verify, { jwtLeewayMs, jwtMaxTtlMs }: TokenSettings) {
    this.#verify = verify;
    this.#lifetime = {
      leeway: jwtLeewayMs / 1000,
      maxTtl: jwtMaxTtlMs === 0 ? Infinity : jwtMaxTtlMs / 1000,
    };
  }

  /**
   * Creates the verifier that the settings ask for; null: no key is set, and clients need no token.
   * @param onStale called when a key set is due for a refresh and cannot be fetched
   * @throws {OperatorError} the key cannot be read, or is too weak
   */
  static from(settings: TokenSettings, onStale: (reason: string) => void): ClientTokens | null {
    const { jwtSecretFile, jwtPublicKeyFile, jwksUrl, insecure } = settings;
    if (insecure === 'true' && (jwtSecretFile ?? jwtPublicKeyFile ?? jwksUrl) !== undefined) {
      throw new OperatorError(
        'WSHUB_INSECURE is true and a token key is set; fix: unset one of them, or set WSHUB_INSECURE=force for tests',
      );
    }
    const options: JWTVerifyOptions = { clockTolerance: settings.jwtLeewayMs / 1000 };
    if (settings.jwtAudience !== undefined) options.audience = settings.jwtAudience;
    if (settings.jwtIssuer !== undefined) options.issuer = settings.jwtIssuer;
    if (jwtSecretFile !== undefined) {
      return withKey(readSecret(jwtSecretFile, settings.jwtAllowShortSecret), ['HS256', 'HS384', 'HS512']);
    }
    if (jwtPublicKeyFile !== undefined) {
      const key = readPublicKey(jwtPublicKeyFile);
      return withKey(key, algorithmsOf(key, jwtPublicKeyFile));
    }
    if (jwksUrl === undefined) return null;
    const keys = keySet(jwksUrl, onStale);
    const chosen = { ...options, algorithms: publicKeyAlgorithms };
    return new ClientTokens(async (token) => (await jwtVerify(token, keys, chosen)).payload, settings);

    function withKey(key: KeyObject, algorithms: string[]): ClientTokens {
      return new ClientTokens(
        async (token) => (await jwtVerify(token, key, { ...options, algorithms })).payload,
        settings,
      );
    }
  }

  /**
   * Verifies a token and returns what it grants.
   * @throws {HubError} as a rejection: `unauthorized` with the reason; `unavailable` while the keys cannot be fetched
   */
  async grant(token: string | null): Promise<Grant> {
    if (token === null) throw new HubError('unauthorized', 'a token is required');
    try {
      return grantOf(await this.#verify(token), Date.now() / 1000, this.#lifetime);
    } catch (cause) {
      throw refusalOf(cause);
    }
  }
}

/** Returns whether a token was refused because it has expired. */
export function isExpired({ cause }: HubError): boolean {
  return cause instanceof errors.JWTExpired;
}

function refusalOf(cause: unknown): HubError {
  const refuse = (message: string) => new HubError('unauthorized', message, { cause });
  if (cause instanceof ClaimsError) return refuse(cause.message);
  if (cause instanceof errors.JWTExpired) return refuse('the token has expired');
  if (cause instanceof errors.JWTClaimValidationFailed) {
    return refuse(
      cause.claim === 'nbf' ? 'the token is not valid yet' : `the token's ${cause.claim} is not accepted`,
    );
  }
  if (cause instanceof errors.JWSSignatureVerificationFailed) return refuse("the token's signature is wrong");
  if (cause instanceof errors.JOSEAlgNotAllowed) return refuse("the token's algorithm is not accepted");
  if (cause instanceof errors.JWKSNoMatchingKey) return refuse("the token's key is not known");
  if (cause instanceof errors.JWKSMultipleMatchingKeys) return refuse('the token must name its key (kid)');
  if (
    cause instanceof KeysUnavailableError ||
    cause instanceof errors.JWKSTimeout ||
    cause instanceof errors.JWKSInvalid
  ) {
    return new HubError('unavailable', 'the keys that verify tokens cannot be fetched; try again', { cause });
  }
  return refuse('the token is not a valid JWT');
}

function readKeyFile(file: string, what: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new OperatorError(`the ${what} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Reads an HMAC secret.
 * @throws {OperatorError} it cannot be read, or is too short
 */
export function readSecret(file: string, allowShort: boolean): KeyObject {
  const content = readKeyFile(file, 'token secret');
  // A text editor ends a file with a newline that is not part of the secret.
  const secret = content.at(-1) === 0x0a ? content.subarray(0, content.at(-2) === 0x0d ? -2 : -1) : content;
  if (secret.length < (allowShort ? 1 : minSecretBytes)) {
    throw new OperatorError(`the token secret in ${file} is shorter than ${minSecretBytes} bytes`);
  }
  if (secret.includes('-----BEGIN ')) {
    throw new OperatorError(
      `${file} contains a PEM key, not a secret; fix: set WSHUB_JWT_PUBLIC_KEY_FILE instead`,
    );
  }
  return createSecretKey(secret);
}

function readPublicKey(file: string): KeyObject {
  const pem = readKeyFile(file, 'public key of tokens').toString('latin1');
  if (pem.includes('PRIVATE KEY-----')) {
    throw new OperatorError(`${file} contains a private key; the hub needs only the public key`);
  }
  try {
    return pem.includes('-----BEGIN CERTIFICATE') ? new X509Certificate(pem).publicKey : createPublicKey(pem);
  } catch (cause) {
    throw new OperatorError(`${file} contains no PEM public key: ${messageOf(cause)}`, { cause });
  }
}

/** Returns the algorithms for a public key. @throws {OperatorError} the key is not supported or too weak */
function algorithmsOf(key: KeyObject, file: string): string[] {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= minRsaBits) return rsaAlgorithms;
  const algorithm = type === 'ec' ? curveAlgorithms[details?.namedCurve ?? ''] : undefined;
  if (algorithm !== undefined) return [algorithm];
  if (type === 'ed25519') return ['EdDSA', 'Ed25519'];
  throw new OperatorError(
    `the public key in ${file} must be RSA of ${minRsaBits} bits or more, P-256, P-384, P-521, or Ed25519`,
  );
}
