/** Durations as operators write them: a whole number with a unit, such as `300s`, `5m`, `1h` or `30d`. */

export const durationForm = /^\d{1,12}[smhd]$/;

const units: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Returns milliseconds; null: the text is not a duration. */
export function durationMs(text: string): number | null {
  return durationForm.test(text) ? Number(text.slice(0, -1)) * (units[text.slice(-1)] ?? Number.NaN) : null;
}
