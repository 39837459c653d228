/** `wshub top`: asks the ops port every second and draws; without a terminal it prints once and ends. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../settings.ts';
import type { Actions } from '../control/actions.ts';
import { OperatorError, reasonOf } from '../errors.ts';
import { totalsOf, view, type Sample } from './view.ts';

const intervalMs = 1_000;
const requestTimeoutMs = 5_000;
const shownChannels = 10;
const clearScreen = '\x1b[2J\x1b[H';

/** @throws {OperatorError} as a rejection: no hub answers, or the token is not the hub's */
export async function top(settings: Settings, output: NodeJS.WriteStream): Promise<void> {
  const token = tokenOf(settings);
  let before: Sample | null = null;
  for (;;) {
    const now = await sample(settings, token);
    const screen = `${view(now, before).join('\n')}\n`;
    output.write(output.isTTY ? clearScreen + screen : screen);
    if (!output.isTTY) return;
    before = now;
    await sleep(intervalMs);
  }
}

async function sample(settings: Settings, token: string): Promise<Sample> {
  const [state, metrics] = await Promise.all([
    ask(settings, `/state?limit=${shownChannels}`, token),
    ask(settings, '/metrics', token),
  ]);
  if (!state.ok) throw new OperatorError(`the hub refuses: ${state.status} ${await state.text()}`);
  return {
    state: (await state.json()) as Actions['state']['answer'],
    totals: totalsOf(metrics.ok ? await metrics.text() : ''),
    at: performance.now(),
  };
}

async function ask({ opsHost, opsPort }: Settings, path: string, token: string): Promise<Response> {
  const host = opsHost.includes(':') ? `[${opsHost}]` : opsHost;
  try {
    return await fetch(`http://${host}:${opsPort}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
  } catch (cause) {
    const why = reasonOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause);
    throw new OperatorError(`no hub answers on ${host}:${opsPort}: ${why}`, { cause });
  }
}

/** Where the hub itself would have it from, and the package's file. */
function tokenOf({ adminTokenFile, adminToken, runtimeDir }: Settings): string {
  const generated = runtimeDir === undefined ? [] : [join(runtimeDir, 'admin.token')];
  const files = [adminTokenFile, ...generated, '/etc/wshub/admin.token'].filter((file) => file !== undefined);
  if (adminTokenFile === undefined && adminToken !== undefined) return adminToken;
  const file = files.find((candidate) => existsSync(candidate));
  if (file === undefined) {
    throw new OperatorError(
      "no admin token: set WSHUB_ADMIN_TOKEN_FILE to the file that the hub's first log line names",
    );
  }
  return readFileSync(file, 'utf8').trim();
}
