/** Positions in channels with history, and their text form `<epoch>:<offset>`. */

/** A position in a channel with history: behind the publication with this offset. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

const textForm = /^([\w-]{1,64}):(\d{1,16})$/;

/**
 * Parses the text form.
 * @returns null: the text is not a position
 */
export function parsePosition(text: string): Position | null {
  const [, epoch, digits] = textForm.exec(text) ?? [];
  const offset = Number(digits);
  return epoch === undefined || !Number.isSafeInteger(offset) ? null : { epoch, offset };
}
