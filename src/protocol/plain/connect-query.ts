/** The query of a handshake of the plain protocol. Unknown parameters are refused: a misspelt one would change nothing. */
import { HubError } from '../../platform/errors.ts';

export interface ConnectQuery {
  /** false: the connection does not get its own messages back */
  readonly echo: boolean;
}

const defaults: ConnectQuery = { echo: true };

/**
 * @param path path and query of the request target
 * @throws {HubError} `bad_query`
 */
export function connectQuery(path: string): ConnectQuery {
  const at = path.indexOf('?');
  if (at === -1) return defaults;
  let { echo } = defaults;
  const seen = new Set<string>();
  for (const [name, value] of new URLSearchParams(path.slice(at))) {
    if (seen.has(name)) throw new HubError('bad_query', `${JSON.stringify(name)} is given more than once`);
    seen.add(name);
    if (name === 'echo') {
      if (value !== 'true' && value !== 'false')
        throw new HubError('bad_query', 'echo must be true or false');
      echo = value === 'true';
    } else if (name !== 'token') {
      // auth/token-of.ts reads the token
      throw new HubError(
        'bad_query',
        `unknown query parameter ${JSON.stringify(name)}; known are echo, token`,
      );
    }
  }
  return { echo };
}
