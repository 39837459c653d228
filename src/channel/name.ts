/** Valid channel names: 1 to 255 bytes of UTF-8 without control characters. Slashes are allowed. */

const maxNameBytes = 255;

/** C0, DEL and C1 controls (Unicode category Cc), and halves of surrogate pairs, which UTF-8 cannot carry. */
// eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const forbidden = /[\u0000-\u001f\u007f-\u009f]/;

export function isChannelName(name: string): boolean {
  return (
    name.length > 0 && Buffer.byteLength(name) <= maxNameBytes && !forbidden.test(name) && name.isWellFormed()
  );
}

/**
 * Returns the channel of a request target: the decoded path after the first slash; null: it is not a valid name.
 * @param target path and query of the request line
 */
export function channelOfTarget(target: string): string | null {
  const query = target.indexOf('?');
  const path = query === -1 ? target : target.slice(0, query);
  if (!path.startsWith('/')) return null;
  try {
    const name = decodeURIComponent(path.slice(1));
    return isChannelName(name) ? name : null;
  } catch {
    return null; // a broken percent sequence
  }
}
