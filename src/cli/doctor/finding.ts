/** A check of `wshub doctor` and its findings. */
import type { Settings } from '../../config/settings.ts';
import type { Facts } from './facts.ts';

export type Check = (facts: Facts, settings: Settings) => Finding | Finding[];

export type Finding =
  /** `skip`: the check could not be made here */
  | { level: 'ok' | 'skip'; text: string }
  /** `fix`: the command or setting that removes the problem */
  | { level: 'warn' | 'bad'; text: string; fix: string };

export const ok = (text: string): Finding => ({ level: 'ok', text });
export const skip = (text: string): Finding => ({ level: 'skip', text });
export const warn = (text: string, fix: string): Finding => ({ level: 'warn', text, fix });
export const bad = (text: string, fix: string): Finding => ({ level: 'bad', text, fix });
