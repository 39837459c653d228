/**
 * The permissions in a client token: channels, and the abilities on each. The token has been verified before.
 */

/** A permission on a channel. */
export type Ability = 'subscribe' | 'publish';

interface Rule {
  /** name of a channel, or its prefix */
  readonly name: string;
  readonly prefix: boolean;
  readonly subscribe: boolean;
  readonly publish: boolean;
}

export interface Grant {
  /** the verified claims, visible to handlers */
  readonly claims: Readonly<Record<string, unknown>>;
  /** the claim `sub`; null: the token names no user */
  readonly user: string | null;
  /** Unix time in seconds; Infinity: never */
  readonly expiresAt: number;
  readonly rules: readonly Rule[];
  /** channels that the hub subscribes for a client of several channels: the texts in the claim `channels` */
  readonly serverChannels: readonly string[];
}

/** A verified claim has an invalid form. The message names the claim and the reason. */
export class ClaimsError extends Error {
  override readonly name = 'ClaimsError';
}

/** Limits for the lifetime of tokens, in seconds. */
export interface Lifetime {
  /** time since `exp` for which a token is still accepted */
  leeway: number;
  /** longest remaining lifetime at connect; Infinity: no limit */
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
  if (!Array.isArray(channels)) throw new ClaimsError('the claim "channels" must be an array');
  return {
    claims,
    user: typeof sub === 'string' ? sub : null,
    // The leeway does not prolong a token that has not expired yet.
    expiresAt: end > now ? end : end + leeway,
    rules: channels.map((channel: unknown) => ruleOf(channel)),
    serverChannels: channels.filter((channel) => typeof channel === 'string'),
  };
}

/** Whether a rule of the grant matches the channel, exactly or by prefix, with the ability. */
export function allows({ rules }: Grant, ability: Ability, channel: string): boolean {
  return rules.some(
    (rule) => rule[ability] && (rule.prefix ? channel.startsWith(rule.name) : channel === rule.name),
  );
}

/** Whether a rule of the grant names exactly this channel, with the ability. */
export function allowsExactly({ rules }: Grant, ability: Ability, channel: string): boolean {
  return rules.some((rule) => rule[ability] && !rule.prefix && channel === rule.name);
}

function ruleOf(value: unknown): Rule {
  if (typeof value === 'string') return { name: value, prefix: false, subscribe: true, publish: false };
  const { name, can } = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  if (typeof name !== 'string' || !isListOfTexts(can)) {
    throw new ClaimsError('each item of the claim "channels" must be { "name": …, "can": [ … ] } or a name');
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
