/** Asks the running hub, on its ops port, with the admin token of the same settings. */
import { readFileSync } from 'node:fs';
import type { Settings } from '../../config/settings.ts';
import { messageOf, OperatorError } from '../../platform/errors.ts';
import { findTokenFile } from '../../primary/admin-token.ts';

const requestTimeoutMs = 15_000;

export class OpsClient {
  readonly #settings: Settings;
  /** the last token: a hub removes its generated token file when it stops */
  #token: string | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Returns the text of a successful answer. @throws {OperatorError} as a rejection */
  async text(method: string, path: string, body: string | null = null, headers = {}): Promise<string> {
    const { opsHost, opsPort } = this.#settings;
    const host = opsHost.includes(':') ? `[${opsHost}]` : opsHost;
    const authorization = `Bearer ${this.#currentToken()}`;
    try {
      const response = await fetch(`http://${host}:${opsPort}${path}`, {
        method,
        body,
        headers: { authorization, ...headers },
        signal: AbortSignal.timeout(requestTimeoutMs),
      });
      const text = await response.text();
      if (response.ok) return text;
      throw new OperatorError(`the hub answers with ${response.status}: ${messageIn(text)}`);
    } catch (cause) {
      if (cause instanceof OperatorError) throw cause;
      const why = messageOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause);
      throw new OperatorError(`no hub answers on ${host}:${opsPort}: ${why}`, { cause });
    }
  }

  /** Returns the JSON of a successful answer. @throws {OperatorError} as a rejection */
  async json<T>(method: string, path: string, body: string | null = null, headers = {}): Promise<T> {
    return JSON.parse(await this.text(method, path, body, headers)) as T;
  }

  /** Returns the items of all pages of a list. */
  async *pages<T>(path: string, member: string): AsyncGenerator<T> {
    for (let after: string | undefined; ;) {
      const query = new URLSearchParams({ limit: '1000', ...(after === undefined ? {} : { after }) });
      const page = await this.json<Record<string, unknown>>(
        'GET',
        `${path}${path.includes('?') ? '&' : '?'}${query.toString()}`,
      );
      yield* page[member] as T[];
      if (typeof page['next'] !== 'string') return;
      after = page['next'];
    }
  }

  /** Reads the token from where the hub itself takes it. Read each time, because a restart may change it. */
  #currentToken(): string {
    this.#token = tokenOf(this.#settings) ?? this.#token;
    if (this.#token !== undefined) return this.#token;
    throw new OperatorError(
      "no admin token: set WSHUB_ADMIN_TOKEN_FILE to the file that the first line of the hub's log names",
    );
  }
}

/** Returns the message in the body of an error. */
function messageIn(text: string): string {
  const found = /"message":"([^"]+)"/.exec(text)?.[1];
  return found ?? text;
}

function tokenOf(settings: Settings): string | undefined {
  const { adminTokenFile, adminToken } = settings;
  if (adminTokenFile === undefined && adminToken !== undefined) return adminToken;
  const file = findTokenFile({
    ...settings,
    runtimeDir: settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY'],
  });
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new OperatorError(`the admin token cannot be read: ${messageOf(cause)}`, { cause });
  }
}
