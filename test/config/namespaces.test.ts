/** Namespaces: what is refused and how, what the defaults are, and which options a channel gets. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Namespaces } from '../../src/config/namespaces.ts';
import { readSettings } from '../../src/config/reader.ts';
import { OperatorError } from '../../src/platform/errors.ts';
import { cli, cleanEnvironment, temporaryFolder } from '../support.ts';

const parse = (entries: readonly Record<string, unknown>[], strictNamespaces = false) =>
  Namespaces.from({ namespaces: entries, strictNamespaces });

function refusal(...entries: Record<string, unknown>[]): string {
  try {
    parse(entries);
  } catch (error) {
    assert.ok(error instanceof OperatorError);
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.message;
  }
  assert.fail('the namespaces were taken');
}

const history = { historySize: 10, historyTtl: '5m' };

describe('Namespaces.from', () => {
  it('accepts durations as milliseconds and with a unit', () => {
    const ttl = (historyTtl: unknown) => parse([{ historySize: 1, historyTtl }]).of('room')?.historyTtlMs;
    assert.deepEqual(['300s', '5m', 300_000].map(ttl), [300_000, 300_000, 300_000]);
    assert.deepEqual(['1h', '30d'].map(ttl), [3_600_000, 2_592_000_000]);
    for (const bad of ['5', '5 m', '1.5h', '-1s', '5M', '', 1.5, -1, null, '9999999999d', true]) {
      assert.match(
        refusal({ historySize: 1, historyTtl: bad }),
        /default namespace: historyTtl .*must be whole/,
      );
    }
  });

  it('has the documented defaults', () => {
    assert.deepEqual(parse([]).of('room'), {
      namespace: '',
      historySize: 0,
      historyTtlMs: 0,
      historyMetaTtlMs: 2_592_000_000,
      recovery: false,
      recoveryLimitBytes: 4 * 1024 * 1024,
      presence: false,
      joinLeave: false,
      echo: true,
      clientPublish: null,
      userLimited: false,
    });
    assert.equal(parse([history]).of('room')?.recovery, true);
    assert.equal(
      parse([{ historySize: 1, historyTtl: '60d' }]).of('room')?.historyMetaTtlMs,
      60 * 86_400_000,
    );
  });

  it('names the namespace and the option that is wrong', () => {
    assert.match(
      refusal({ name: 'chat', size: 1 }),
      /^namespace "chat": size is not an option; .*historySize/,
    );
    assert.match(refusal({ name: 'chat', toString: 1 }), /toString is not an option/);
    assert.match(
      refusal({ name: 'chat', echo: 'yes' }),
      /^namespace "chat": echo "yes" is not allowed.*true or false/,
    );
    assert.match(refusal({ historySize: 1e9 }), /historySize 1000000000 is not allowed.*from 0 to 100000/);
    for (const name of ['a:b', '$a', 'a b', 'ä', 'x'.repeat(65), 7, null]) {
      assert.match(refusal({ name }), /the name .* is not allowed/);
    }
  });

  it('refuses contradictions', () => {
    assert.match(refusal({ historySize: 1 }), /historySize needs a historyTtl/);
    assert.match(refusal({ historyTtl: '1m' }), /historyTtl needs a historySize/);
    assert.match(refusal({ historySize: 1, historyTtl: 0 }), /historySize needs a historyTtl/);
    assert.match(refusal({ recovery: true }), /recovery needs historySize/);
    assert.match(refusal({ recoveryLimit: 1 }), /recoveryLimit needs historySize/);
    assert.match(refusal({ historyMetaTtl: '1d' }), /historyMetaTtl needs historySize/);
    assert.match(refusal({ ...history, historyMetaTtl: '1m' }), /historyMetaTtl is less than historyTtl/);
    assert.match(
      refusal({ ...history, recovery: false, recoveryLimit: 9 }),
      /recoveryLimit is set and recovery/,
    );
    assert.match(refusal({ name: 'a' }, { name: 'a' }), /namespace "a" is declared twice/);
    assert.match(refusal({}, { name: '' }), /the default namespace is declared twice/);
  });

  it('says whether the hub needs a broker', () => {
    assert.equal(parse([{ name: 'a', echo: false }]).needBroker, false);
    assert.equal(parse([{ name: 'a', ...history }]).needBroker, true);
    assert.equal(parse([{ presence: true }]).needBroker, true);
    assert.equal(parse([{ joinLeave: true }]).needBroker, true);
  });
});

describe('Namespaces.of', () => {
  it('finds the namespace before the first colon, without a leading $', () => {
    const all = parse([{ name: 'a' }, { name: 'chat' }, { name: 'news' }, {}]);
    const of = (channel: string) => all.of(channel)?.namespace;
    assert.deepEqual(['chat:1', '$chat:1', 'news:a:b', 'a:', 'chat:'].map(of), [
      'chat',
      'chat',
      'news',
      'a',
      'chat',
    ]);
    assert.deepEqual(['chat', 'chats:1', 'cha:1', ':chat:1', 'b:1', '$', ':'].map(of), [
      '',
      '',
      '',
      '',
      '',
      '',
      '',
    ]);
  });

  it('has no options for an undeclared prefix where namespaces are strict', () => {
    const all = parse([{ name: 'chat' }], true);
    assert.deepEqual(
      [all.of('chats:1'), all.of('chat:1')?.namespace, all.of('room')?.namespace],
      [null, 'chat', ''],
    );
  });

  it('agrees with a map of prefixes', () => {
    const name = fc.stringMatching(/^[ab]{1,3}$/);
    const channel = fc.stringMatching(/^\$?[ab]{0,4}:?[ab:]{0,3}$/).filter((text) => text !== '');
    fc.assert(
      fc.property(fc.uniqueArray(name), channel, fc.boolean(), (names, text, strict) => {
        const [, prefix = ''] = /^\$?([^:$]+):/.exec(text) ?? [];
        const expected = prefix === '' ? '' : names.includes(prefix) ? prefix : strict ? undefined : '';
        const found = parse(
          names.map((each) => ({ name: each })),
          strict,
        ).of(text);
        assert.equal(found?.namespace, expected);
      }),
    );
  });

  it('returns the same object for every channel of a namespace', () => {
    const all = parse([{ name: 'chat' }]);
    assert.equal(all.of('chat:1'), all.of('$chat:2'));
    assert.equal(all.of('x'), all.of('y:z'));
  });
});

describe('WSHUB_NAMESPACES', () => {
  it('is JSON in the environment and a list in the file', () => {
    const fromEnv = readSettings({ WSHUB_NAMESPACES: '[{"name":"chat","echo":false}]' });
    const text = '{"namespaces": [{"name": "chat", "echo": false}]}';
    const fromFile = readSettings({}, { folder: '/', text, name: 'wshub.json' });
    assert.deepEqual(fromEnv.namespaces, fromFile.namespaces);
    assert.throws(
      () => readSettings({ WSHUB_NAMESPACES: 'chat' }),
      /WSHUB_NAMESPACES: "chat" is not allowed.*JSON list/,
    );
    assert.throws(() => readSettings({ WSHUB_NAMESPACES: '[1]' }), /JSON list/);
  });

  it('is refused by check-config with one line', (t) => {
    const file = join(temporaryFolder(t), 'wshub.json');
    const run = (entry: object) => {
      writeFileSync(file, JSON.stringify({ namespaces: [{ name: 'chat', ...entry }] }));
      const { status, stderr } = spawnSync(process.execPath, [cli, 'check-config', '--config', file], {
        env: cleanEnvironment({}),
      });
      return { status, stderr: stderr.toString() };
    };
    assert.deepEqual(run({ echo: true, joinLeave: true }), { status: 0, stderr: '' });
    const { status, stderr } = run({ joinLeave: 'yes' });
    assert.equal(status, 1);
    assert.match(stderr, /^wshub: namespace "chat": joinLeave "yes" is not allowed, it must be .*\n$/);
  });
});
