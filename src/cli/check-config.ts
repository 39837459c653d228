/** `wshub check-config`: finds everything that a start would find, without taking a port. */
import type { Settings } from '../config/settings.ts';
import { startFaults } from '../primary/check-start.ts';

/** Prints the problems, one line each. Resolves with the exit code. */
export async function checkConfig(settings: Settings): Promise<number> {
  const faults = await startFaults(settings, process.env);
  for (const fault of faults) process.stderr.write(`wshub: ${fault}\n`);
  if (faults.length > 0) return 1;
  process.stdout.write('configuration OK\n');
  return 0;
}
