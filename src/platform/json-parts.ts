/**
 * The parts of a JSON text as they stand in it, found without parsing them: the elements of an array, the members of an
 * object. It keeps each part byte for byte, and takes a few ns for a character whatever the text is, where a parser takes
 * up to 250. Only what lies between the parts is checked: the text is valid JSON if every part is.
 */

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const colon = 0x3a;

/** The text of each element of an array. Throws a SyntaxError where the text is no array. */
export function* elements(text: string): Generator<string> {
  for (const [start, end] of ranges(text, '[', ']')) yield text.slice(start, end);
}

/** Name and text of the value of each member of an object. Throws a SyntaxError where the text is no object. */
export function* members(text: string): Generator<[name: string, value: string]> {
  for (const [start, end] of ranges(text, '{', '}')) {
    if (text.charCodeAt(start) !== quote) throw unexpected(start);
    const nameEnd = endOfString(text, start);
    const middle = skipBlanks(text, nameEnd);
    if (text.charCodeAt(middle) !== colon) throw unexpected(middle);
    const valueStart = skipBlanks(text, middle + 1);
    if (valueStart >= end) throw unexpected(valueStart);
    yield [JSON.parse(text.slice(start, nameEnd)) as string, text.slice(valueStart, end)];
  }
}

/** Start and end of each part between the brackets, without the blanks around it. */
function* ranges(text: string, opening: string, closing: string): Generator<[start: number, end: number]> {
  let at = skipBlanks(text, 0);
  if (text[at] !== opening) throw unexpected(at);
  at = skipBlanks(text, at + 1);
  for (let isFirst = true; ; isFirst = false) {
    const end = endOfPart(text, at);
    const isLast = text.charCodeAt(end) !== comma;
    if (end === at && !(isFirst && isLast)) throw unexpected(at);
    if (end > at) yield [at, trimBlanks(text, at, end)];
    if (isLast) {
      at = end;
      break;
    }
    at = skipBlanks(text, end + 1);
  }
  if (text[at] !== closing) throw unexpected(at);
  const rest = skipBlanks(text, at + 1);
  if (rest < text.length) throw unexpected(rest);
}

/** Position of the comma or the closing bracket behind a part. */
function endOfPart(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case quote:
        at = endOfString(text, at) - 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        if (depth === 0) return at;
        depth -= 1;
        break;
      case comma:
        if (depth === 0) return at;
        break;
    }
  }
  throw new SyntaxError('the JSON text ends too early');
}

/** @param start of the string's opening quote */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === quote) return at + 1;
    if (code === backslash) at += 1;
  }
  throw new SyntaxError('a string in the JSON text does not end');
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function skipBlanks(text: string, start: number): number {
  let at = start;
  while (isBlank(text.charCodeAt(at))) at += 1;
  return at;
}

function trimBlanks(text: string, start: number, end: number): number {
  let at = end;
  while (at > start && isBlank(text.charCodeAt(at - 1))) at -= 1;
  return at;
}

function unexpected(at: number): SyntaxError {
  return new SyntaxError(`the JSON text is not valid at position ${at}`);
}
