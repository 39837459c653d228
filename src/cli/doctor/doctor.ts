/** `wshub doctor`: says what would bite in production, with the line that mends it. */
import type { Settings } from '../../config/settings.ts';
import { printable } from '../../platform/printable.ts';
import { examine, type Finding } from './checks.ts';
import { gather } from './facts.ts';

/** @returns what to print, and whether something would bite */
export async function doctor(settings: Settings): Promise<{ text: string; bad: boolean }> {
  const findings = examine(await gather(settings), settings);
  return { text: findings.map(line).join('\n'), bad: findings.some(({ level }) => level === 'bad') };
}

function line({ level, text, mend }: Finding): string {
  // They hold other processes' command lines, paths and errors: none of those may forge a line or steer the terminal.
  return `${level.padEnd(4)}  ${printable(text)}${mend === undefined ? '' : `\n      mend: ${printable(mend)}`}`;
}
