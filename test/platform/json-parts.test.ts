/** The parts of JSON texts, against the parser. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { elements, members } from '../../src/platform/json-parts.ts';

/** Without the pauses within long parts. */
function partsOf<T>(parts: Iterable<T | null>): T[] {
  return [...parts].filter((part) => part !== null);
}

/** The text's value put together from its parts; undefined: it is not valid. */
function assembled(text: string, kind: 'array' | 'object'): unknown {
  try {
    if (kind === 'array') return partsOf(elements(text)).map((element): unknown => JSON.parse(element));
    const entries = partsOf(members(text)).map(([name, value]) => [name, JSON.parse(value) as unknown]);
    return Object.fromEntries(entries);
  } catch (error) {
    assert.ok(error instanceof SyntaxError);
    return undefined;
  }
}

/** The text's value by the parser; undefined: it is not valid, or of another kind. */
function parsed(text: string, kind: 'array' | 'object'): unknown {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null;
    return isObject && Array.isArray(value) === (kind === 'array') ? value : undefined;
  } catch {
    return undefined;
  }
}

const blank = fc.stringMatching(/^[ \t\n\r]{0,2}$/);
/** JSON with blanks in every place where they may stand. */
const json: fc.Arbitrary<string> = fc
  .tuple(fc.oneof(fc.array(fc.jsonValue()), fc.object()), fc.nat(3), blank, blank)
  .map(([value, indent, before, behind]) => before + JSON.stringify(value, null, indent) + behind);
const pieces = [
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  '"',
  '\\',
  ' ',
  '1',
  'e',
  '-',
  '\u00a0',
  '\ufeff',
  '\u0000',
  'null',
];
/** Valid JSON with a few characters put in, in the place of others or not. */
const broken = fc
  .tuple(json, fc.array(fc.tuple(fc.nat(200), fc.nat(2), fc.constantFrom(...pieces))))
  .map(([text, edits]) =>
    edits.reduce((now, [at, gone, put]) => now.slice(0, at) + put + now.slice(at + gone), text),
  );

describe('the parts of a JSON text', () => {
  for (const kind of ['array', 'object'] as const) {
    it(`have the values of JSON.parse, and are refused if it throws (${kind})`, () => {
      fc.assert(
        fc.property(fc.oneof(json, broken, fc.string()), (text) => {
          assert.deepEqual(assembled(text, kind), parsed(text, kind), JSON.stringify(text));
        }),
        { numRuns: 2_000 },
      );
    });
  }

  it('keep the bytes of each value', () => {
    assert.deepEqual(
      [...elements(' [ 1e0 ,{"a" : "]," } , "\\\\\\"," ]\n')],
      ['1e0', '{"a" : "]," }', '"\\\\\\","'],
    );
    assert.deepEqual(
      [...members('{"a\\u0062":[ 1.0 ],"c" : {}}')],
      [
        ['ab', '[ 1.0 ]'],
        ['c', '{}'],
      ],
    );
    assert.deepEqual([[...elements('[]')], [...elements(' [ ] ')], [...members('{ }')]], [[], [], []]);
  });

  it('are found in one pass over long runs of backslashes, brackets and quotes', () => {
    for (const long of ['\\\\'.repeat(500_000), '['.repeat(1_000_000), '\\"'.repeat(500_000)]) {
      const startedAt = process.cpuUsage();
      assert.equal(partsOf(elements(`["${long}"]`)).length, 1);
      assert.throws(() => [...elements(`[${long}`)], SyntaxError);
      const { user } = process.cpuUsage(startedAt);
      assert.ok(user < 2_000_000, `${user} µs`); // quadratic, it would be minutes
    }
  });
});
