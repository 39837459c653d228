/** Foreign text on a terminal. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { printable, printableLines } from '../../src/platform/printable.ts';

describe('printable', () => {
  it('leaves text alone, in any script', () => {
    for (const text of ['', 'node server.js --port 8080', 'Grüße, 日本語 😀', '\\n'])
      assert.equal(printable(text), text);
  });

  it('escapes control characters, line ends, and invisible or bidirectional characters', () => {
    assert.equal(printable('a\nok    fix: b'), 'a\\nok    fix: b');
    assert.equal(printable('\x1b[2J\x1b]0;title\x07'), '\\u{1b}[2J\\u{1b}]0;title\\u{7}');
    assert.equal(printable('\x9b31m\x7f\r\t'), '\\u{9b}31m\\u{7f}\\u{d}\\u{9}');
    assert.equal(printable('\u2028\u202egnp.exe\u200b\ud800'), '\\u{2028}\\u{202e}gnp.exe\\u{200b}\\u{d800}');
  });

  it('keeps line ends if the caller allows them', () => {
    assert.equal(printableLines('one\ntwo\x1b'), 'one\ntwo\\u{1b}');
  });
});
