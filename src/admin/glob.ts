/** Patterns of names: `*` stands for any characters, also none, and `?` for one. */

/** Whether the whole name matches. Takes at most the product of both lengths in steps. */
export function matchesGlob(name: string, pattern: string): boolean {
  let [at, place] = [0, 0];
  /** place of the last `*`, and of the first character of the name after its match */
  let [star, resumeAt] = [-1, 0];
  while (at < name.length) {
    const wanted = pattern[place];
    if (wanted === '*') {
      star = place;
      resumeAt = at;
      place += 1;
    } else if (wanted !== undefined && (wanted === '?' || wanted === name[at])) {
      at += 1;
      place += 1;
    } else if (star !== -1) {
      resumeAt += 1; // the `*` stands for one character more
      at = resumeAt;
      place = star + 1;
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(place));
}
