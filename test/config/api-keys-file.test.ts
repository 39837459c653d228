/** The file of API keys: what it may hold, and what is said of one that is wrong. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { digestOf } from '../../src/auth/api-keys.ts';
import { parseApiKeys, readApiKeys } from '../../src/config/api-keys-file.ts';
import { OperatorError } from '../../src/platform/errors.ts';
import { temporaryFolder } from '../support.ts';

const secret = 'Zm9yIHRlc3RzIG9ubHk';
const good = { name: 'news', sha256: digestOf(secret).toString('hex'), scopes: ['read'], channels: ['a:*'] };

describe('parseApiKeys', () => {
  it('accepts an empty list, and digests in upper and lower case', () => {
    assert.deepEqual(parseApiKeys('[]'), []);
    const [key] = parseApiKeys(JSON.stringify([{ ...good, sha256: good.sha256.toUpperCase() }]));
    assert.deepEqual(key, good);
  });

  it('names the invalid key and member, and quotes no value', () => {
    const faults: [unknown, RegExp][] = [
      [{ ...good, name: '' }, /^key 2 must have as "name" 1 to 64 characters/],
      [{ ...good, name: 'with a blank' }, /"name"/],
      [{ ...good, sha256: secret }, /^key 2 must have as "sha256" the SHA-256 digest/],
      [{ ...good, scopes: [] }, /"scopes" a list of one or more of publish, read, manage/],
      [{ ...good, scopes: ['admin'] }, /"scopes"/],
      [{ ...good, scopes: 'read' }, /"scopes"/],
      [{ ...good, channels: [] }, /"channels" a list of one or more names/],
      [{ ...good, channels: ['a*b'] }, /"channels"/],
      [{ ...good, channels: [''] }, /"channels"/],
      [{ ...good, channels: undefined }, /"channels"/],
      [
        { ...good, key: secret },
        /^key 2 must be an object with name, sha256, scopes, channels and nothing else/,
      ],
      [secret, /^key 2 must be an object/],
      [null, /^key 2 must be an object/],
      [{ ...good, sha256: '0'.repeat(64) }, /^key 2 has the "name" of another key/],
      [{ ...good, name: 'other' }, /^key 2 has the "sha256" of another key/],
    ];
    for (const [entry, fault] of faults) {
      assert.throws(
        () => parseApiKeys(JSON.stringify([good, entry])),
        ({ message }: Error) => fault.test(message) && !message.includes(secret),
        JSON.stringify(entry),
      );
    }
    assert.throws(() => parseApiKeys('{}'), /must hold one JSON array/);
    assert.throws(() => parseApiKeys(`[{"name": ${secret}}]`), { message: 'it is not JSON' });
    const many = Array.from({ length: 1_001 }, () => good);
    assert.throws(() => parseApiKeys(JSON.stringify(many)), /more than 1000 keys/);
  });
});

describe('readApiKeys', () => {
  it('has no keys without a file, and says whether all users can read it', (t) => {
    assert.deepEqual(readApiKeys(undefined), { keys: [], isPublic: false });
    const file = join(temporaryFolder(t), 'keys.json');
    writeFileSync(file, JSON.stringify([good]));
    for (const [mode, isPublic] of [
      [0o600, false],
      [0o640, false],
      [0o644, true],
    ] as const) {
      chmodSync(file, mode);
      assert.deepEqual(readApiKeys(file), { keys: [good], isPublic });
    }
  });

  it('names a file that is missing, is no file, or is too large', (t) => {
    const folder = temporaryFolder(t);
    const refusal = (file: string, fault: RegExp) => {
      assert.throws(
        () => readApiKeys(file),
        (error: Error) =>
          error instanceof OperatorError &&
          error.message.startsWith(`API keys file ${file}: `) &&
          fault.test(error.message) &&
          !error.message.includes('\n'),
      );
    };
    refusal(join(folder, 'none'), /ENOENT/);
    mkdirSync(join(folder, 'folder'));
    refusal(join(folder, 'folder'), /it is not a file$/);
    refusal('/dev/zero', /it is not a file$/);
    writeFileSync(join(folder, 'large'), ' '.repeat(1024 * 1024 + 1));
    refusal(join(folder, 'large'), /more than 1048576 bytes$/);
  });
});
