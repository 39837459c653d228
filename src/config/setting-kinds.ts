/**
 * The kinds of value that a setting can have, as zod schemas. Where the text of an environment variable is not the value
 * itself, the schema is a codec from one to the other. Its description ends the sentence "it must be …".
 */
import { isIP } from 'node:net';
import { z } from 'zod';

export interface Kind<T> {
  schema: z.ZodType<T>;
}

export interface Setting<T> extends Kind<T> {
  env: string;
  /** the value if none is set */
  default: T;
  /** the default in words, if the value itself is not clear */
  defaultText?: string;
  /** one sentence, with the unit */
  help: string;
  /** a path: relative ones start from the config file's folder, or from the working directory */
  path?: true;
  /** its value is never printed */
  secret?: true;
}

/** A row of the table; keeps the type of its value. */
export const setting = <T>(row: Setting<T>): Setting<T> => row;

/** Reads the text of an environment variable. */
export function parseText({ schema }: Kind<unknown>, value: string): z.ZodSafeParseResult<unknown> {
  return schema.safeDecode(value);
}

/** Checks a value of a JSON file. */
export function parseValue({ schema }: Kind<unknown>, value: unknown): z.ZodSafeParseResult<unknown> {
  return z.safeParse(schema instanceof z.ZodCodec ? schema.out : schema, value);
}

/** Returns what is allowed, in words. */
export function allowedBy({ schema }: Kind<unknown>): string {
  return schema.description ?? '';
}

export function integer(min: number, max: number): Kind<number> {
  const digits = z.string().regex(/^\d{1,15}$/);
  const codec = z.codec(digits, z.int().min(min).max(max), { decode: Number, encode: String });
  return { schema: codec.describe(`a whole number from ${min} to ${max}`) };
}

export function enumOf<const T extends string>(values: readonly T[]): Kind<T> {
  return { schema: z.enum(values).describe(`one of ${values.join(', ')}`) };
}

const hostPattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;
export const host: Kind<string> = {
  schema: z
    .string()
    .refine((value) => isIP(value) !== 0 || hostPattern.test(value))
    .describe('an IP address or a host name'),
};

export const boolean: Kind<boolean> = {
  schema: z.stringbool({ truthy: ['true'], falsy: ['false'], case: 'sensitive' }).describe('true or false'),
};

export const text: Kind<string> = { schema: z.string().min(1).describe('a text that is not empty') };

function isWebAddress(value: string): boolean {
  return URL.canParse(value) && ['http:', 'https:'].includes(new URL(value).protocol);
}

export const url: Kind<string> = {
  schema: z
    .string()
    .refine(isWebAddress)
    .describe('a URL that begins with https:// (or http:// inside a trusted network)'),
};

/**
 * Normalizes an origin for comparisons: lower case, without a trailing slash and the default port of the scheme.
 * Null: not an origin, or one that no browser sends.
 */
export function originForm(text: string): string | null {
  if (text === 'null') return text;
  const parts = /^([a-z][a-z\d+.-]*):\/\/([^\s/?#@\\,]*)\/?$/.exec(text.toLowerCase());
  const [, scheme, host] = parts ?? [];
  if (scheme === undefined || host === undefined || /^wss?$/.test(scheme)) return null;
  const form = `${scheme}://${host}`;
  if (/^https?$/.test(scheme)) return URL.canParse(form) ? new URL(form).origin : null;
  return host === '' && scheme !== 'file' ? null : form;
}

/** Whether the text is an origin, an origin with a star as the first label of its host, or a star alone. */
function isOriginPattern(value: string): boolean {
  const form = originForm(value);
  return value === '*' || (form !== null && /^[^*]*(:\/\/\*\.[^*]+)?$/.test(form));
}

export const origins: Kind<readonly string[]> = {
  schema: z
    .codec(z.string(), z.array(z.string().refine(isOriginPattern)), {
      decode: (value) => (value === '' ? [] : listOf(value)),
      encode: String,
    })
    .describe(
      'origins like https://app.example, https://*.app.example or capacitor://localhost, separated by commas (a list in the file), or null, or *',
    ),
};

/** The number of proxies in front, or their addresses. */
export type TrustProxy = number | readonly string[];

const namedRanges: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

/** Returns the address ranges of an entry of `trustProxy`: a name, an address or a range. */
export function addressRanges(entry: string): readonly string[] {
  if (Object.hasOwn(namedRanges, entry)) return namedRanges[entry] ?? [];
  return [entry.includes('/') ? entry : `${entry}/${isIP(entry) === 4 ? 32 : 128}`];
}

function isAddressRange(entry: string): boolean {
  return addressRanges(entry).every((range) => {
    const [, address = '', bits = ''] = /^([^/%]+)\/(\d{1,3})$/.exec(range) ?? [];
    // IPv4-mapped addresses are compared as IPv4, so such a range would match nothing.
    if (isIP(address) === 6) return Number(bits) <= 128 && !/^::ffff:/i.test(address);
    return isIP(address) === 4 && Number(bits) <= 32;
  });
}

export function trustedProxies(maxHops: number): Kind<TrustProxy> {
  const hops = z.int().min(0).max(maxHops);
  const ranges = z.array(z.string().refine(isAddressRange)).min(1);
  return {
    schema: z
      .codec(z.string(), z.union([hops, ranges]), {
        decode: (value) => (/^\d+$/.test(value) ? Number(value) : listOf(value)),
        encode: String,
      })
      .describe(
        `a whole number from 0 to ${maxHops}, or addresses, ranges like 10.0.0.0/8, loopback, linklocal or uniquelocal, separated by commas (a list in the file)`,
      ),
  };
}

function listOf(value: string): string[] {
  return value.split(',').map((part) => part.trim());
}
