/** The kinds of value that a setting can have: how text becomes one, what is allowed, and how that is said. */
import { isIP } from 'node:net';
import { z } from 'zod';

/** How the text of an environment variable becomes a value, which values are allowed, and how that is said. */
export interface Kind<T> {
  schema: z.ZodType<T>;
  /** the JSON value that the text of an environment variable stands for */
  fromText: (text: string) => unknown;
  /** ends the sentence "must be …" */
  allowed: string;
}

export interface Setting<T> extends Kind<T> {
  env: string;
  /** the value where nobody sets one */
  default: T;
  /** the default in words, where the value itself says too little */
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

const asIs = (text: string) => text;

export function integer(min: number, max: number): Kind<number> {
  return {
    schema: z.int().min(min).max(max),
    fromText: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : text),
    allowed: `a whole number from ${min} to ${max}`,
  };
}

/** Without a value something else decides. */
export function optionalInteger(min: number, max: number): Kind<number | undefined> {
  const kind = integer(min, max);
  return { ...kind, schema: kind.schema.optional() };
}

export function oneOf<const T extends string>(values: readonly T[]): Kind<T> {
  return { schema: z.enum(values), fromText: asIs, allowed: `one of ${values.join(', ')}` };
}

const hostPattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;
export const host: Kind<string> = {
  schema: z.string().refine((value) => isIP(value) !== 0 || hostPattern.test(value)),
  fromText: asIs,
  allowed: 'an IP address or a host name',
};

export const yesNo: Kind<boolean> = {
  schema: z.boolean(),
  fromText: (text) => (text === 'true' ? true : text === 'false' ? false : text),
  allowed: 'true or false',
};

export const text: Kind<string | undefined> = {
  schema: z.string().min(1).optional(),
  fromText: asIs,
  allowed: 'a text that is not empty',
};

function isWebAddress(value: string): boolean {
  return URL.canParse(value) && ['http:', 'https:'].includes(new URL(value).protocol);
}

export const webAddress: Kind<string | undefined> = {
  schema: z.string().refine(isWebAddress).optional(),
  fromText: asIs,
  allowed: 'a URL that begins with https:// (or http:// inside a trusted network)',
};

/** An origin as a browser sends it: scheme, host, and port if it is not the scheme's own; or all of them. */
function isOrigin(value: string): boolean {
  return value === '*' || (URL.canParse(value) && new URL(value).origin === value);
}

export const origins: Kind<readonly string[]> = {
  schema: z.array(z.string().refine(isOrigin)),
  fromText: (value) => (value === '' ? [] : value.split(',').map((part) => part.trim())),
  allowed: 'origins like https://app.example, separated by commas (a list in the file), or *',
};
