/**
 * `wshub top`: polls the ops port every second and draws the result; keeps running while the hub is down. Without a
 * terminal it prints once and exits.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadStream, WriteStream } from 'node:tty';
import type { Settings } from '../../config/settings.ts';
import type { Actions } from '../../admin/actions.ts';
import { OperatorError, messageOf } from '../../platform/errors.ts';
import { findTokenFile } from '../../primary/admin-token.ts';
import { printable } from '../../platform/printable.ts';
import { Screen } from './screen.ts';
import { totalsOf, view, type Sample } from './view.ts';

const intervalMs = 1_000;
const requestTimeoutMs = 5_000;
const shownChannels = 10;

/** A sample, with the token that was accepted. */
type Seen = Sample & { token: string };

/** @throws {OperatorError} as a rejection: at the start no hub answers, or the token is wrong */
export async function top(settings: Settings, input: ReadStream, output: WriteStream): Promise<void> {
  const first = await sample(settings);
  if (!output.isTTY) {
    output.write(`${view(first, null).join('\n')}\n`);
    return;
  }
  const screen = new Screen(input, output);
  try {
    await live(settings, first, screen);
  } finally {
    screen.close();
  }
}

/** Draws until the user quits. */
async function live(settings: Settings, first: Seen, screen: Screen): Promise<void> {
  let [now, before]: [Seen, Seen | null] = [first, null];
  let fault: string | null = null;
  for (;;) {
    const [head = '', ...lines] = view(now, before);
    const note = fault === null ? '' : printable(`from ${secondsSince(now.at)} s ago: ${fault}`);
    screen.show([`${head}   (q quits)`, note, ...lines]);
    const next = sleep(intervalMs).then(() => sample(settings, now.token));
    try {
      const latest = await Promise.race([next, screen.left]);
      if (latest === undefined) return;
      [now, before] = [latest, fault === null ? now : null];
      fault = null;
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      fault = error.message; // the hub may be restarting
    }
  }
}

function secondsSince(at: number): number {
  return Math.round((performance.now() - at) / 1_000);
}

/** @param known the last accepted token: a hub removes its generated token file when it stops */
async function sample(settings: Settings, known?: string): Promise<Seen> {
  const token = tokenOf(settings) ?? known;
  if (token === undefined) {
    throw new OperatorError(
      "no admin token: set WSHUB_ADMIN_TOKEN_FILE to the file that the first line of the hub's log names",
    );
  }
  const [state, metrics] = await Promise.all([
    ask(settings, `/state?limit=${shownChannels}`, token),
    ask(settings, '/metrics', token),
  ]);
  return {
    state: JSON.parse(state) as Actions['state']['answer'],
    totals: totalsOf(metrics),
    at: performance.now(),
    token,
  };
}

async function ask({ opsHost, opsPort }: Settings, path: string, token: string): Promise<string> {
  const host = opsHost.includes(':') ? `[${opsHost}]` : opsHost;
  try {
    const response = await fetch(`http://${host}:${opsPort}${path}`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(requestTimeoutMs),
    });
    const text = await response.text();
    if (response.ok) return text;
    throw new OperatorError(`the hub answers with ${response.status}: ${messageIn(text)}`);
  } catch (cause) {
    if (cause instanceof OperatorError) throw cause;
    const why = messageOf(cause instanceof Error && cause.cause !== undefined ? cause.cause : cause);
    throw new OperatorError(`no hub answers on ${host}:${opsPort}: ${why}`, { cause });
  }
}

/** Returns the message in the body of an error. */
function messageIn(text: string): string {
  const found = /"message":"([^"]+)"/.exec(text)?.[1];
  return found ?? text;
}

/** Returns the token from where the hub itself takes it. Read each time, because a restart may change it. */
function tokenOf(settings: Settings): string | undefined {
  const { adminTokenFile, adminToken } = settings;
  if (adminTokenFile === undefined && adminToken !== undefined) return adminToken;
  const file = findTokenFile({
    ...settings,
    runtimeDir: settings.runtimeDir ?? process.env['RUNTIME_DIRECTORY'],
  });
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new OperatorError(`the admin token cannot be read: ${messageOf(cause)}`, { cause });
  }
}
