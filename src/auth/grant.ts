/**
 * What a client's token lets it do: which channels, and what there. Dry: the token has been verified before its
 * claims come here.
 */

/** What can be done on a channel. */
export type Ability = 'subscribe' | 'publish';

interface Rule {
  /** a channel's name, or what it begins with */
  readonly name: string;
  readonly prefix: boolean;
  readonly subscribe: boolean;
  readonly publish: boolean;
}

export interface Grant {
  /** the verified claims, as the user's functions see them */
  readonly claims: Readonly<Record<string, unknown>>;
  /** the claim `sub`; null: the token names no user */
  readonly user: string | null;
  /** Unix time in seconds at which it ends; Infinity if it does not */
  readonly expiresAt: number;
  readonly rules: readonly Rule[];
}

/** The claims are verified and yet not of the form that the hub asks for. The message says which one and why. */
export class ClaimsError extends Error {
  override readonly name = 'ClaimsError';
}

/** What holds for the end of every token, in seconds. */
export interface Lifetime {
  /** by which `exp` may have passed */
  leeway: number;
  /** for which a token may still be valid; Infinity: for any time, or for ever */
  maxTtl: number;
}

/**
 * @param now Unix time in seconds
 * @throws {ClaimsError}
 */
export function grantOf(
  claims: Readonly<Record<string, unknown>>,
  now: number,
  { leeway, maxTtl }: Lifetime,
): Grant {
  const { sub, exp, channels = [] } = claims;
  const end = typeof exp === 'number' ? exp : Infinity;
  if (end - now > maxTtl) {
    throw new ClaimsError(`the token must end (exp) within ${maxTtl} s from now`);
  }
  if (!Array.isArray(channels)) throw new ClaimsError('the claim "channels" must be a list');
  return {
    claims,
    user: typeof sub === 'string' ? sub : null,
    // The leeway is for checking only: it does not prolong a token that has not ended yet.
    expiresAt: end > now ? end : end + leeway,
    rules: channels.map((channel: unknown) => ruleOf(channel)),
  };
}

/** Some rule of the grant names the channel, exactly or by its beginning, with the ability. */
export function allows({ rules }: Grant, ability: Ability, channel: string): boolean {
  return rules.some(
    (rule) => rule[ability] && (rule.prefix ? channel.startsWith(rule.name) : channel === rule.name),
  );
}

function ruleOf(value: unknown): Rule {
  const { name, can } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof name !== 'string' || !isListOfTexts(can)) {
    throw new ClaimsError('each of the claim "channels" must be { "name": …, "can": [ … ] }');
  }
  const star = name.indexOf('*');
  if (star !== -1 && star !== name.length - 1) {
    throw new ClaimsError('a "*" may only stand at the end of a name in the claim "channels"');
  }
  return {
    name: star === -1 ? name : name.slice(0, -1),
    prefix: star !== -1,
    subscribe: can.includes('subscribe'),
    publish: can.includes('publish'),
  };
}

function isListOfTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
