/**
 * `wshub check-config`: finds what a start would refuse beyond invalid settings. Takes no port and writes no file; loads the
 * handlers module in a process of its own.
 */
import { fork } from 'node:child_process';
import { extname, join } from 'node:path';
import { readApiKeys } from '../config/api-keys-file.ts';
import { ClientTokens } from '../auth/jwt.ts';
import { OperatorError } from '../platform/errors.ts';
import { systemdVariables } from '../process-manager/systemd.ts';
import { checkEngineFiles, needsBroker } from '../config/engine-settings.ts';
import type { Settings } from '../config/settings.ts';
import { givenAdminToken } from './admin-token.ts';
import { checkTemporaryFolder, runtimePath } from './runtime-dir.ts';
import { checkStateDir, givenStateDir } from './state-dir.ts';

/** Time limit for loading the handlers module; a start kills its workers only after 60 s. */
const loadTimeoutMs = 10_000;

/** Returns the problems, one sentence each. */
export async function startFaults(settings: Settings, env: Readonly<NodeJS.ProcessEnv>): Promise<string[]> {
  const runtimeDir = settings.runtimeDir ?? env['RUNTIME_DIRECTORY'];
  const checks = [
    () => ClientTokens.from(settings, () => undefined),
    () => givenAdminToken(settings, env['CREDENTIALS_DIRECTORY']),
    () => readApiKeys(settings.apiKeysFile),
    () => {
      if (runtimeDir === undefined) checkTemporaryFolder();
      else runtimePath(runtimeDir);
    },
    () => {
      const stateDir = givenStateDir(settings, env);
      const isUsed = settings.engine === 'embedded' && needsBroker(settings);
      if (stateDir !== undefined && isUsed) checkStateDir(stateDir);
    },
    () => {
      checkEngineFiles(settings);
    },
  ];
  const faults = checks.map(faultOf);
  if (settings.handlers !== undefined) faults.push(await handlersFault(settings.handlers, env));
  return faults.filter((fault) => fault !== null);
}

function faultOf(check: () => unknown): string | null {
  try {
    check();
    return null;
  } catch (error) {
    if (error instanceof OperatorError) return error.message;
    throw error;
  }
}

/** Returns why the module cannot be loaded; null if it can. */
function handlersFault(path: string, env: Readonly<NodeJS.ProcessEnv>): Promise<string | null> {
  const file = join(import.meta.dirname, `../handlers/try-load${extname(import.meta.filename)}`);
  const hidden: readonly string[] = ['WSHUB_ADMIN_TOKEN', ...systemdVariables]; // as in workers
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !hidden.includes(name)));
  return new Promise((resolve) => {
    const child = fork(file, [path], { env: own, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const end = (fault: string | null) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      resolve(fault);
    };
    const timer = setTimeout(() => {
      end(`handlers module ${path} did not load within ${loadTimeoutMs} ms`);
    }, loadTimeoutMs);
    child.on('message', (said) => {
      const loaded = (said as { loaded?: unknown } | null)?.loaded; // the module may send messages of its own
      if (loaded === true) end(null);
      else if (typeof loaded === 'string') end(loaded);
    });
    child.on('error', (error) => {
      end(`handlers module ${path} cannot be loaded: ${error.message}`);
    });
    child.on('exit', (code, signal) => {
      end(
        `handlers module ${path} ended its process: exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`,
      );
    });
  });
}
