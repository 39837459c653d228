/**
 * Text of others on a terminal: other processes' command lines, names that clients chose, answers of whoever has a port.
 */

/** Controls, what changes the direction of text or is not seen, ends of lines and paragraphs, halves of surrogate pairs. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line that can do nothing to a terminal: what is not printed as itself is escaped as in JavaScript. */
export function printable(text: string): string {
  return text.replace(unprintable, (character) => {
    if (character === '\n') return '\\n';
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** The same for several lines, which stay lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
