/** `wshub doctor`: checks this machine and the settings for production, and prints how to fix each problem. */
import type { Settings } from '../../config/settings.ts';
import { printable } from '../../platform/printable.ts';
import { examine } from './checks.ts';
import { gather } from './facts.ts';
import type { Finding } from './finding.ts';

/** @returns the report, and whether any finding is `bad` */
export async function doctor(settings: Settings): Promise<{ text: string; bad: boolean }> {
  const findings = examine(await gather(settings), settings);
  return { text: findings.map(lines).join('\n'), bad: findings.some(({ level }) => level === 'bad') };
}

function lines(finding: Finding): string {
  // Texts contain command lines of other processes, paths and errors. None may forge a line or control the terminal.
  const line = `${finding.level.padEnd(4)}  ${printable(finding.text)}`;
  return 'fix' in finding ? `${line}\n      fix: ${printable(finding.fix)}` : line;
}
