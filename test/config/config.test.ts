/** The settings: the source of each value, and the errors for invalid ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSettings, type ConfigFile } from '../../src/config/reader.ts';
import { parseValue, type Setting } from '../../src/config/setting-kinds.ts';
import { settingsTable } from '../../src/config/settings.ts';
import { OperatorError } from '../../src/platform/errors.ts';

const file = (text: string): ConfigFile => ({ folder: '/etc/wshub', text, name: 'wshub.json' });

function refusal(env: NodeJS.ProcessEnv, config?: ConfigFile): string {
  try {
    readSettings(env, config);
  } catch (error) {
    assert.ok(error instanceof OperatorError);
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.message;
  }
  assert.fail('the settings were taken');
}

describe('readSettings', () => {
  it('prefers the environment to the file and the file to the default', () => {
    const config = file('{"port": 1, "opsPort": 2}');
    const settings = readSettings({ WSHUB_PORT: '3' }, config);
    assert.deepEqual([settings.port, settings.opsPort, settings.maxPayload], [3, 2, 65_536]);
  });

  it('starts relative paths from the folder of the file, and from the working directory', () => {
    assert.equal(readSettings({}, file('{"handlers": "mine.ts"}')).handlers, '/etc/wshub/mine.ts');
    assert.equal(readSettings({ WSHUB_HANDLERS: 'mine.ts' }).handlers, `${process.cwd()}/mine.ts`);
  });

  it('names the setting, the value and the allowed values', () => {
    assert.equal(
      refusal({ WSHUB_PORT: 'http' }),
      'WSHUB_PORT: "http" is not allowed, it must be a whole number from 0 to 65535',
    );
    assert.match(refusal({}, file('{"port": "8080"}')), /^port in wshub\.json: "8080" is not allowed/);
    assert.match(refusal({ WSHUB_HOST: 'a b' }), /an IP address or a host name/);
    assert.match(refusal({ WSHUB_LOG_LEVEL: 'loud' }), /one of trace, debug/);
  });

  it('decodes the text of a variable, and uses a value of the file unchanged', () => {
    const text = { WSHUB_ADMIN_PUBLIC: 'false', WSHUB_TRUST_PROXY: '2', WSHUB_ALLOWED_ORIGINS: 'null, *' };
    const json = file('{"adminPublic": false, "trustProxy": 2, "allowedOrigins": ["null", "*"]}');
    for (const settings of [readSettings(text), readSettings({}, json)]) {
      const { adminPublic, trustProxy, allowedOrigins } = settings;
      assert.deepEqual([adminPublic, trustProxy, allowedOrigins], [false, 2, ['null', '*']]);
    }
    assert.match(
      refusal({ WSHUB_ADMIN_PUBLIC: 'FALSE' }),
      /"FALSE" is not allowed, it must be true or false/,
    );
    assert.match(refusal({}, file('{"adminPublic": "false"}')), /"false" is not allowed/);
    assert.match(refusal({}, file('{"trustProxy": "2"}')), /"2" is not allowed/);
    assert.match(refusal({}, file('{"allowedOrigins": "*"}')), /"\*" is not allowed/);
  });

  it('refuses an engine without its server, and what the engine cannot do', () => {
    const redis = { WSHUB_ENGINE: 'redis', WSHUB_REDIS_URL: 'redis://:secret@10.0.0.5:6379/1' };
    assert.equal(readSettings(redis).redisUrl, redis.WSHUB_REDIS_URL);
    assert.equal(refusal({ WSHUB_ENGINE: 'redis' }), 'WSHUB_ENGINE=redis needs WSHUB_REDIS_URL');
    assert.equal(
      refusal({ WSHUB_REDIS_URL: redis.WSHUB_REDIS_URL }),
      'WSHUB_REDIS_URL needs WSHUB_ENGINE=redis',
    );
    assert.match(refusal({ WSHUB_ENGINE: 'nats' }), /it must be one of embedded, redis/);
    for (const url of [
      'redis+sentinel://a,b/name',
      'redis+cluster://a',
      'http://a',
      'redis://',
      'redis://a/x',
    ]) {
      const message = refusal({ ...redis, WSHUB_REDIS_URL: url });
      assert.match(message, /^WSHUB_REDIS_URL: its value is not allowed, it must be redis:\/\//);
    }
    assert.match(
      refusal({ ...redis, WSHUB_REDIS_TLS_CA_FILE: 'ca.pem' }),
      /WSHUB_REDIS_TLS_CA_FILE needs a WSHUB_REDIS_URL that begins with rediss:/,
    );
    assert.match(
      refusal({ ...redis, WSHUB_NAMESPACES: '[{"name": "chat", "presence": true}]' }),
      /does not support presence and joinLeave yet, as namespace "chat" wants them/,
    );
  });

  it('never prints a secret', () => {
    assert.match(refusal({ WSHUB_ADMIN_TOKEN: '' }), /^WSHUB_ADMIN_TOKEN: its value is not allowed/);
  });

  it('refuses unknown settings', () => {
    assert.match(refusal({ WSHUB_PROT: '1' }), /WSHUB_PROT is not a setting/);
    for (const name of ['prot', '__proto__', 'toString']) {
      assert.match(refusal({}, file(`{"${name}": 1}`)), /is not a setting/);
    }
  });

  it('names the error of the file', () => {
    assert.match(refusal({}, file('{')), /wshub\.json is not JSON/);
    assert.match(refusal({}, file('[]')), /must hold one JSON object/);
  });

  it('has defaults that its own checks allow', () => {
    for (const [name, row] of Object.entries<Setting<unknown>>(settingsTable)) {
      if (row.default !== undefined) assert.ok(parseValue(row, row.default).success, name);
    }
  });
});
