/** A hub for the tests of Centrifugo's server API, with a token key, an API key and namespaces of each kind. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT, type JWTPayload } from 'jose';
import { connect, startHub, temporaryFolder, type Client, type HubProcess } from '../../support.ts';

export interface Reply {
  result?: unknown;
  error?: { code: number; message: string };
}

const namespaces = [
  { presence: true },
  { name: 'kept', historySize: 100, historyTtl: '1h' },
  { name: 'bare' },
];

/** The secret of an API key for channels that begin with `news`, to publish and read. */
export const narrowKey = 'a-key-for-news';

export class ApiHub {
  readonly hub: HubProcess;
  readonly #secret: string;

  private constructor(hub: HubProcess, secret: string) {
    this.hub = hub;
    this.#secret = secret;
  }

  static async start(t: { after: (done: () => void) => void }): Promise<ApiHub> {
    const secret = randomBytes(32).toString('base64');
    const folder = temporaryFolder(t);
    const [jwtFile, keysFile] = [join(folder, 'jwt'), join(folder, 'keys')];
    writeFileSync(jwtFile, secret);
    const sha256 = createHash('sha256').update(narrowKey).digest('hex');
    const narrow = { name: 'news', sha256, scopes: ['publish', 'read'], channels: ['news*'] };
    writeFileSync(keysFile, JSON.stringify([narrow]));
    const hub = await startHub({
      env: {
        WSHUB_JWT_SECRET_FILE: jwtFile,
        WSHUB_API_KEYS_FILE: keysFile,
        WSHUB_NAMESPACES: JSON.stringify(namespaces),
        WSHUB_STRICT_NAMESPACES: 'true',
        WSHUB_MAX_PAYLOAD: '1000',
      },
    });
    return new ApiHub(hub, secret);
  }

  /** A token with these claims. */
  async token(claims: JWTPayload): Promise<string> {
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(this.#secret));
  }

  /** Path and query of a channel, with a token. */
  async url(channel: string, sub?: string): Promise<string> {
    const own = sub === undefined ? {} : { sub, info: { name: sub } };
    const token = await this.token({ ...own, channels: [{ name: '*', can: ['subscribe'] }] });
    return `${encodeURIComponent(channel)}?token=${token}`;
  }

  async enter(channel: string, sub?: string): Promise<Client> {
    return connect(this.hub, await this.url(channel, sub));
  }

  /** A request to the public port. */
  post(path: string, body: unknown, options: object = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.hub.admin('POST', path, { body: text, port: this.hub.port, ...options });
  }

  /** A command, which must be answered with 200. */
  async call(method: string, params: unknown, options: object = {}): Promise<Reply> {
    const { status, body } = await this.post(`/api/${method}`, params, options);
    assert.equal(status, 200, JSON.stringify(body));
    return body as Reply;
  }

  /** The code of the error of a command. */
  async code(method: string, params: unknown, options: object = {}): Promise<number | undefined> {
    return (await this.call(method, params, options)).error?.code;
  }

  async result(method: string, params: unknown, options: object = {}): Promise<unknown> {
    const reply = await this.call(method, params, options);
    assert.equal(reply.error, undefined, JSON.stringify(reply));
    return reply.result;
  }
}
