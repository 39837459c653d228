/** The readable log format. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { prettyLine } from '../../src/platform/log-format.ts';
import { cleanEnvironment, eventually, temporaryFolder } from '../support.ts';
import { program } from './hub-with-sink.ts';

const line = (members: object) =>
  JSON.stringify({ time: '2026-01-02T03:04:05.678Z', level: 'warn', pid: 1, worker: 'w1', ...members });

describe('prettyLine', () => {
  it('shows time, level, speaker, message and fields, and a stack below', () => {
    const err = { type: 'Error', message: 'no', stack: 'Error: no\n    at f (a.js:1)' };
    assert.equal(
      prettyLine(line({ msg: 'handler failed', handler: 'add', target: { channel: 'a b' }, err }), false),
      '03:04:05.678 WARN  w1: handler failed handler=add target={"channel":"a b"}\n' +
        '    Error: no\n        at f (a.js:1)\n',
    );
    assert.ok(prettyLine(line({ msg: 'x' }), true).includes('\u001b[33mWARN \u001b[0m'));
  });

  it('escapes control characters and line breaks of texts', () => {
    const evil = '\u001b[2J\u009b2J\r\n\u202eforged\u2028';
    const err = { type: 'Error', message: evil, stack: `Error: ${evil}\n    at x` };
    const pretty = prettyLine(line({ msg: evil, channel: evil, nested: { evil }, err }), false);
    // eslint-disable-next-line no-control-regex -- the characters to find
    assert.doesNotMatch(pretty, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e]/);
    const lines = pretty.trimEnd().split('\n');
    assert.ok(
      lines.slice(1).every((one) => one.startsWith('    ')),
      pretty,
    );
  });
});

/** Starts a hub by a command; resolves with its output once that contains a text, and ends it. */
async function outputOf(
  command: readonly string[],
  folder: string,
  env: object,
  text: string,
): Promise<string> {
  const [file = '', ...args] = command;
  const environment = cleanEnvironment({
    WSHUB_HOST: '127.0.0.1',
    WSHUB_PORT: '0',
    WSHUB_OPS_PORT: '0',
    WSHUB_WORKERS: '1',
    TMPDIR: folder,
    ...env,
  });
  const child = spawn(file, args, { env: environment, stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  try {
    await eventually(() => (output.includes(text) ? true : undefined), text);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
  return output;
}

describe('the log on a terminal', () => {
  it('is readable and ends the start with the URL, a command, and who may connect', async (t) => {
    const onTerminal = ['script', '-qec', program.join(' '), '/dev/null'];
    const output = await outputOf(onTerminal, temporaryFolder(t), {}, 'npx wscat -c ws://localhost:');
    assert.match(
      output,
      /\d\d:\d\d:\d\d\.\d{3} \S*INFO .* primary: hub ready port=\d+ opsPort=\d+ workers=1/,
    );
    assert.match(output, /clients connect to ws:\/\/localhost:\d+\/<channel>/);
    assert.match(output, /WARN.*everybody may connect/);
    assert.doesNotMatch(output, /^\{/m);
  });

  it('is JSON where WSHUB_LOG_FORMAT says so', async (t) => {
    const onTerminal = ['script', '-qec', program.join(' '), '/dev/null'];
    const env = { WSHUB_LOG_FORMAT: 'json' };
    const output = await outputOf(onTerminal, temporaryFolder(t), env, '"hub ready"');
    for (const one of output.trim().split(/\r?\n/)) JSON.parse(one);
  });

  it('is readable in a pipe where WSHUB_LOG_FORMAT says so', async (t) => {
    const env = { WSHUB_LOG_FORMAT: 'pretty' };
    const output = await outputOf(program, temporaryFolder(t), env, 'npx wscat');
    assert.match(output, /^\d\d:\d\d:\d\d\.\d{3} INFO {2}primary: hub starts /);
  });
});
