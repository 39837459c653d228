#!/usr/bin/env node
/** The program; cli/program.ts has its commands. */
import { runCommandLine } from './cli/command-line.ts';

await runCommandLine(process.argv.slice(2));
