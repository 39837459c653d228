#!/usr/bin/env node
/** The program: `wshub [start]`, `check-config`, `doctor`, `top`, `api-key`, `--help`, `--version`. */
import { runCommandLine } from './cli/command-line.ts';

await runCommandLine(process.argv.slice(2));
