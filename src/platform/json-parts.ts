/**
 * The parts of a JSON text as they stand in it, found without parsing them: the elements of an array, the members of an
 * object. It keeps each part byte for byte, and takes a few ns for a character whatever the text is, where a parser takes
 * up to 250. Only what lies between the parts is checked: the text is valid JSON if every part is.
 *
 * Within a long part the generators yield null now and then, so that the caller can let others have their turn.
 */

const quote = 0x22;
const comma = 0x2c;
const backslash = 0x5c;
const colon = 0x3a;

/** Characters that are looked at before null is yielded. */
const breakChars = 256 * 1024;

/** The text of each element of an array. Throws a SyntaxError where the text is no array. */
export function* elements(text: string): Generator<string | null> {
  for (const range of ranges(text, '[', ']')) yield range && text.slice(...range);
}

/** Name and text of the value of each member of an object. Throws a SyntaxError where the text is no object. */
export function* members(text: string): Generator<[name: string, value: string] | null> {
  for (const range of ranges(text, '{', '}')) {
    if (!range) {
      yield null;
      continue;
    }
    const [start, end] = range;
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
function* ranges(
  text: string,
  opening: string,
  closing: string,
): Generator<[start: number, end: number] | null> {
  let at = skipBlanks(text, 0);
  if (text[at] !== opening) throw unexpected(at);
  at = skipBlanks(text, at + 1);
  for (let isFirst = true; ; isFirst = false) {
    const end = yield* endOfPart(text, at);
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

/** Returns the position of the comma or the closing bracket behind a part. */
function* endOfPart(text: string, start: number): Generator<null, number> {
  let depth = 0;
  let isString = false;
  let pauseAt = start + breakChars;
  for (let at = start; at < text.length; at += 1) {
    if (at >= pauseAt) {
      pauseAt = at + breakChars;
      yield null;
    }
    const code = text.charCodeAt(at);
    if (code === quote) {
      isString = !isString;
    } else if (isString) {
      if (code === backslash) at += 1;
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1; // [ {
    } else if (code === 0x5d || code === 0x7d) {
      if (depth === 0) return at; // ] }
      depth -= 1;
    } else if (code === comma && depth === 0) {
      return at;
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
