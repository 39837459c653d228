/** The token secret as a credential of systemd; the real systemd is in test/system. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { readSettings } from '../../src/config/reader.ts';
import { credentialsOf } from '../../src/process-manager/credentials.ts';
import { connect, hubFor, runCli, temporaryFolder } from '../support.ts';

const secret = 'a secret of at least thirty-two bytes';

/** A folder of credentials with this content of `jwt.secret`. */
function credentials(t: Parameters<typeof temporaryFolder>[0], content: string): string {
  const folder = join(temporaryFolder(t), 'credentials');
  mkdirSync(folder);
  writeFileSync(join(folder, 'jwt.secret'), content);
  return folder;
}

describe('the credential jwt.secret', () => {
  it('makes clients need a token', async (t) => {
    const env = { CREDENTIALS_DIRECTORY: credentials(t, `${secret}\n`) };
    const hub = await hubFor(t, { workers: 1, env });
    await assert.rejects(connect(hub, 'a'), /401/);
    const token = await new SignJWT({ channels: [{ name: 'a', can: ['subscribe'] }] })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(secret));
    await (await connect(hub, `a?token=${token}`)).close();
  });

  it('is missing where the unit passes its placeholder', async (t) => {
    const hub = await hubFor(t, {
      workers: 1,
      env: { CREDENTIALS_DIRECTORY: credentials(t, 'none') },
    });
    await (await connect(hub, 'a')).close();
  });

  it('stops the start where it is empty: the file is there, and its secret is lost', async (t) => {
    const { code, stderr } = await runCli([], {
      CREDENTIALS_DIRECTORY: credentials(t, ''),
      WSHUB_PORT: '0',
      WSHUB_OPS_PORT: '0',
    });
    assert.match(stderr, /jwt\.secret is shorter than 32 bytes/);
    assert.equal(code, 1);
  });

  it('gives way to a key that the settings name, and is read where they name its source', (t) => {
    const folder = credentials(t, secret);
    const file = join(folder, 'jwt.secret');
    const read = (env: NodeJS.ProcessEnv, config = '/etc/wshub/wshub.json') =>
      readSettings(env, undefined, credentialsOf({ CREDENTIALS_DIRECTORY: folder }, config));
    assert.equal(read({}).jwtSecretFile, file);
    assert.equal(read({ WSHUB_JWT_AUDIENCE: 'hub' }).jwtSecretFile, file);
    assert.equal(read({ WSHUB_JWKS_URL: 'https://hub.example/keys' }).jwtSecretFile, undefined);
    assert.equal(read({ WSHUB_JWT_SECRET_FILE: '/other' }).jwtSecretFile, '/other');
    assert.equal(read({ WSHUB_JWT_SECRET_FILE: '/etc/wshub/jwt.secret' }).jwtSecretFile, file);
    const named = { WSHUB_JWT_SECRET_FILE: '/etc/wshub/a.jwt.secret' };
    assert.equal(read(named, '/etc/wshub/a.json').jwtSecretFile, file);
    assert.equal(read(named).jwtSecretFile, '/etc/wshub/a.jwt.secret');
  });
});
