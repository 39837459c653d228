/**
 * The query of a handshake of the plain protocol. Unknown parameters are refused, because a misspelt one would have
 * no effect.
 */
import { parsePosition, type Position } from '../../channel/position.ts';
import { HubError } from '../../platform/errors.ts';

export interface ConnectQuery {
  /** whether the connection receives its own messages; null: as the namespace says */
  readonly echo: boolean | null;
  /** true: messages are wrapped in an object with their channel and position */
  readonly envelope: boolean;
  /** the position to resume from; null: none */
  readonly since: Position | null;
  /** number of last messages to send if `since` is not given or cannot be recovered */
  readonly history: number;
  /** true: the client receives the presence of its channel, as far as the namespace allows */
  readonly presence: boolean;
}

const defaults: ConnectQuery = { echo: null, envelope: false, since: null, history: 0, presence: false };

/** Parses the value of a parameter; undefined: it is not valid. */
const parameters: { [Name in keyof ConnectQuery]: (value: string) => ConnectQuery[Name] | undefined } = {
  echo: flag,
  envelope: flag,
  since: (value) => parsePosition(value) ?? undefined,
  history: (value) => (/^[1-9]\d{0,5}$/.test(value) ? Number(value) : undefined),
  presence: flag,
};

const allowed: Record<keyof ConnectQuery, string> = {
  echo: 'true or false',
  envelope: 'true or false',
  since: '<epoch>:<offset>',
  history: 'a whole number from 1 to 999999',
  presence: 'true or false',
};

const known = [...Object.keys(parameters), 'token'].join(', ');

/**
 * Parses the query.
 * @param path path and query of the request target
 * @throws {HubError} `bad_query`
 */
export function connectQuery(path: string): ConnectQuery {
  const at = path.indexOf('?');
  if (at === -1) return defaults;
  const query: Partial<Record<keyof ConnectQuery, unknown>> = {};
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(path.slice(at))) {
    if (seen.has(name)) throw new HubError('bad_query', `${JSON.stringify(name)} is given more than once`);
    seen.add(name);
    if (name === 'token') continue; // auth/token-source.ts reads it
    if (!isParameter(name)) {
      throw new HubError('bad_query', `unknown query parameter ${JSON.stringify(name)}; known are ${known}`);
    }
    query[name] = parameters[name](value);
    if (query[name] === undefined) throw new HubError('bad_query', `${name} must be ${allowed[name]}`);
  }
  return { ...defaults, ...(query as Partial<ConnectQuery>) };
}

function isParameter(name: string): name is keyof ConnectQuery {
  return Object.hasOwn(parameters, name);
}

function flag(value: string): boolean | undefined {
  return value === 'true' || value === 'false' ? value === 'true' : undefined;
}
