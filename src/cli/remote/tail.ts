/** `wshub tail`: a client that prints the messages of a channel, and resumes after a lost connection. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Settings } from '../../config/settings.ts';
import { OperatorError } from '../../platform/errors.ts';
import { printable } from '../../platform/printable.ts';

export interface TailOptions {
  readonly channel: string;
  /** number of messages to begin with; undefined: none */
  readonly history: string | undefined;
  readonly token: string | undefined;
  /** print the envelope */
  readonly isRaw: boolean;
}

/** A message of the hub, or an envelope around a message of the channel. */
interface Received {
  status?: string;
  recovered?: boolean;
  epoch?: string;
  offset?: number;
  data?: unknown;
}

interface TailState {
  /** null: not known */
  position: string | null;
  delayMs: number;
  wasConnected: boolean;
}

/** Codes after which a client must not come back (docs/errors-and-close-codes.md). */
const finalCodes = { from: 4000, to: 4099 };
const firstDelayMs = 500;
const maxDelayMs = 10_000;

/** Never resolves: Ctrl-C ends the process. @throws {OperatorError} as a rejection: the hub refuses */
export async function tail(settings: Settings, options: TailOptions): Promise<never> {
  const state: TailState = { position: null, delayMs: firstDelayMs, wasConnected: false };
  for (;;) {
    const url = urlOf(settings, options, state.position);
    const closed = await follow(url, options.token, (message) => {
      state.delayMs = firstDelayMs;
      state.wasConnected = true;
      state.position = report(message, options.isRaw) ?? state.position;
    });
    if (closed.code >= finalCodes.from && closed.code <= finalCodes.to) {
      throw new OperatorError(`the hub has closed the connection: ${closed.code} ${closed.reason}`);
    }
    if (!state.wasConnected)
      throw new OperatorError(`no hub answers on ${url.host}: ${closed.reason || closed.code}`);
    process.stderr.write(`wshub: connection lost (${closed.code}), connecting again\n`);
    await sleep(state.delayMs * (0.5 + Math.random() / 2));
    state.delayMs = Math.min(maxDelayMs, state.delayMs * 2);
  }
}

/** Prints a message. @returns the position to resume from; null: it has none */
function report(text: string, isRaw: boolean): string | null {
  const message = JSON.parse(text) as Received;
  const at = message.epoch === undefined ? null : `${message.epoch}:${message.offset}`;
  if ('data' in message) {
    process.stdout.write(`${printable(isRaw ? text : JSON.stringify(message.data))}\n`);
  } else if (message.status === 'connected') {
    if (message.recovered === false)
      process.stderr.write('wshub: messages are missing: the history no longer has them\n');
  } else if (message.status === 'skipped') {
    process.stderr.write('wshub: messages were skipped, because this client reads too slowly\n');
  }
  return at;
}

function urlOf({ host, port }: Settings, { channel, history }: TailOptions, position: string | null): URL {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host;
  const url = new URL(`ws://${name.includes(':') ? `[${name}]` : name}:${port}`);
  url.pathname = `/${encodeURIComponent(channel)}`;
  url.searchParams.set('envelope', 'true');
  if (position !== null) url.searchParams.set('since', position);
  else if (history !== undefined) url.searchParams.set('history', history);
  return url;
}

/** Resolves when the connection has closed. @throws {OperatorError} as a rejection: the handshake was refused */
function follow(
  url: URL,
  token: string | undefined,
  receive: (message: string) => void,
): Promise<{ code: number; reason: string }> {
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(url, { headers });
    socket.on('message', (data: Buffer) => {
      receive(data.toString());
    });
    socket.on('unexpected-response', (_request, response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const body = Buffer.concat(parts).toString();
        const status = response.statusCode ?? 0;
        if (status === 429 || status === 503) resolve({ code: status, reason: body });
        else reject(new OperatorError(`the hub answers with ${status}: ${body}`));
      });
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ code: 1006, reason: error.code ?? error.message });
    });
    socket.on('close', (code, reason) => {
      resolve({ code, reason: reason.toString() });
    });
  });
}
