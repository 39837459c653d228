/** Refusals by user functions. */
import { messageOf, RefusedError } from '../platform/errors.ts';

/**
 * Returns the refusal that a user function has thrown; null: it has failed. By its form, because a module may have its own
 * copy of the class `Refusal`; any value may be thrown, even one that cannot be read.
 */
export function refusalIn(thrown: unknown): RefusedError | null {
  try {
    if (!(thrown instanceof Error) || thrown.name !== 'Refusal') return null;
    const { code, temporary } = thrown as { code?: unknown; temporary?: unknown };
    if (typeof code !== 'number' || !Number.isInteger(code) || code < 400 || code > 1999) return null;
    return new RefusedError(code, messageOf(thrown), temporary === true);
  } catch {
    return null;
  }
}
