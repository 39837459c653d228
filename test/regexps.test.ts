/**
 * Every regular expression in `src` takes time linear in its input: many of them match input of clients, and one that
 * backtracks over overlapping classes lets a request of 4 KB block a worker.
 *
 * Inputs are made from the pattern: for each quantifier the shortest text that leads to it, then a long run of each
 * character that the pattern tells apart from others, and of each pair of them, then a character that does not fit.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Script } from 'node:vm';
import { parseRegExpLiteral, type AST } from '@eslint-community/regexpp';
import ts from 'typescript';

const src = join(import.meta.dirname, '../src');

/** Patterns that match only text of the operator's own machine. */
const exempt: Readonly<Record<string, string>> = {
  '/(\\d+)(us|ms|min|s|h)/g': 'wshub doctor: a time span printed by systemctl',
};

const minLength = 1024;
const maxLength = 64 * 1024;
/** CPU time in ms below which nothing is judged: a linear pattern stays below it, a quadratic one takes seconds */
const noiseFloorMs = 20;
/** how much longer twice the length may take: 2 if linear, 4 if quadratic */
const maxGrowth = 3;
/** Time after which V8 ends an exponential pattern. */
const timeoutMs = 15_000;

describe('the regular expressions of src', () => {
  const found = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => patternsOf(join(src, name)));

  it('are literals, so that this test finds them', () => {
    assert.deepEqual(
      found.filter(({ pattern }) => pattern === null).map(({ place }) => place),
      [],
    );
    assert.ok(found.length > 20, `${found.length} found`);
  });

  it('are exempt only where they exist', () => {
    const patterns = found.map(({ pattern }) => pattern);
    assert.deepEqual(
      Object.keys(exempt).filter((pattern) => !patterns.includes(pattern)),
      [],
    );
  });

  for (const { pattern, place } of found) {
    if (pattern === null || pattern in exempt) continue;
    it(`take linear time: ${pattern} of ${place}`, () => {
      assert.equal(slowInput(pattern), null);
    });
  }
});

describe('slowInput', () => {
  it('finds patterns that are not linear', () => {
    for (const pattern of [
      "/([!#$%&'*+.^_`|~\\w-]+):[ \\t]*([\\x20-\\x7e]*?)[ \\t]*\\r\\n/y", // cubic: "a:" and blanks
      '/x:([ a-z]*?) *\\n/', // quadratic: "x:" and blanks
      '/%.*$/', // quadratic: "%%%…\n"
      '/\\d+s/', // quadratic: digits, from each of them
      '/^(a|b|ab)*c/', // exponential: a pair
    ]) {
      assert.notEqual(slowInput(pattern, 3_000), null, pattern);
    }
  });
});

interface Found {
  /** null: it is made at run time */
  pattern: string | null;
  place: string;
}

function patternsOf(path: string): Found[] {
  const file = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  const found: Found[] = [];
  const visit = (node: ts.Node): void => {
    const made = ts.isIdentifier(node) && node.text === 'RegExp';
    if (made || ts.isRegularExpressionLiteral(node)) {
      const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
      const place = `${path.slice(src.length + 1)}:${line + 1}`;
      found.push({ pattern: made ? null : node.getText(file), place });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** The first input, in words, for which the time of a pattern grows faster than its length; null: there is none. */
function slowInput(pattern: string, limitMs = timeoutMs): string | null {
  const ast = parseRegExpLiteral(pattern);
  const flags = ast.flags.raw;
  const expression = new RegExp(ast.pattern.raw, flags);
  const alphabet = distinctCharacters(ast, flags);
  const runs = alphabet.flatMap((one) => alphabet.map((other) => (one === other ? one : one + other)));
  let input = '';
  const search = (): string | null => {
    for (const prefix of new Set(['', ...prefixesOf(ast.pattern, flags)])) {
      for (const run of runs) {
        for (const suffix of ['', ...misfits(alphabet, run)]) {
          input = JSON.stringify(`${prefix}(${run})…${suffix}`);
          const cpuMs = (length: number) => {
            const text = flat(prefix + run.repeat(length / run.length) + suffix);
            const before = process.cpuUsage();
            expression.lastIndex = 0;
            expression.exec(text);
            const { user, system } = process.cpuUsage(before);
            return (user + system) / 1000;
          };
          let length = minLength;
          while (length <= maxLength && cpuMs(length) < noiseFloorMs) length *= 2;
          if (length > maxLength) continue;
          const [once, twice] = [median(() => cpuMs(length)), median(() => cpuMs(2 * length))];
          if (twice > noiseFloorMs && twice > maxGrowth * once) return input;
        }
      }
    }
    return null;
  };
  Object.assign(globalThis, { search });
  try {
    return new Script('search()').runInThisContext({ timeout: limitMs }) as string | null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return input;
    throw error;
  } finally {
    Reflect.deleteProperty(globalThis, 'search');
  }
}

/** A string made of parts that V8 has joined, so that the search does not pay for it. */
function flat(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le');
}

/** What may stand behind a run: a line end, and something that is not in it. */
function misfits(alphabet: readonly string[], run: string): string[] {
  return ['\n', alphabet.find((character) => !run.includes(character)) ?? '\u20ac'];
}

/** One character for each set of characters that no part of the pattern tells apart. */
function distinctCharacters({ pattern }: AST.RegExpLiteral, flags: string): string[] {
  const atoms = [
    ...new Set(
      nodesOf(pattern)
        .filter(isAtom)
        .map(({ raw }) => raw),
    ),
  ];
  const tests = atoms.map((raw) => new RegExp(`^${raw}$`, flags.replace(/[gym]/g, '')));
  const byAnswers = new Map<string, string>();
  for (const character of [...Array(0x101).keys()].map((code) => String.fromCharCode(code))) {
    const answers = tests.map((test) => Number(test.test(character))).join('');
    byAnswers.set(answers, byAnswers.get(answers) ?? character);
  }
  return [...byAnswers.values()];
}

type Atom = AST.Character | AST.CharacterSet | AST.CharacterClass;

function isAtom(node: AST.Node): node is Atom {
  return node.type === 'Character' || node.type === 'CharacterSet' || node.type === 'CharacterClass';
}

function childrenOf(node: AST.Node): readonly AST.Node[] {
  if (node.type === 'Quantifier') return [node.element];
  if ('alternatives' in node) return node.alternatives;
  return node.type === 'Alternative' ? node.elements : [];
}

function nodesOf(node: AST.Node): AST.Node[] {
  return [node, ...childrenOf(node).flatMap(nodesOf)];
}

/** For each quantifier, short texts that lead to it. */
function prefixesOf(node: AST.Node, flags: string, before = ''): string[] {
  if (node.type === 'Quantifier') return [before, ...prefixesOf(node.element, flags, before)];
  if (node.type !== 'Alternative') return childrenOf(node).flatMap((one) => prefixesOf(one, flags, before));
  let text = before;
  return node.elements.flatMap((element) => {
    const prefixes = prefixesOf(element, flags, text);
    text += shortest(element, flags);
    return prefixes;
  });
}

/** A short text that a part of a pattern matches; an assertion has none. */
function shortest(node: AST.Node, flags: string): string {
  if (isAtom(node)) {
    const test = new RegExp(`^${node.raw}$`, flags.replace(/[gym]/g, ''));
    return [...Array(0x101).keys()].map((code) => String.fromCharCode(code)).find((c) => test.test(c)) ?? '';
  }
  if (node.type === 'Quantifier') return shortest(node.element, flags).repeat(node.min);
  if (node.type === 'Alternative') return node.elements.map((one) => shortest(one, flags)).join('');
  const [first] = node.type === 'Assertion' ? [] : childrenOf(node);
  return first ? shortest(first, flags) : '';
}

/** The median of five measurements. */
function median(measure: () => number): number {
  return Array.from({ length: 5 }, measure).toSorted((a, b) => a - b)[2] ?? 0;
}
