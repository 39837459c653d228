/** Positions in channels with history, and their text form `<epoch>:<offset>`. */

/** A place in a channel with history: everything up to and including `offset` lies before it. */
export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

const textForm = /^([\w-]{1,64}):(\d{1,16})$/;

/** @returns null: the text is not a position */
export function parsePosition(text: string): Position | null {
  const [, epoch, digits] = textForm.exec(text) ?? [];
  const offset = Number(digits);
  return epoch === undefined || !Number.isSafeInteger(offset) ? null : { epoch, offset };
}
