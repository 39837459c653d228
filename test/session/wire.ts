/** Clients of the Centrifugal protocol for tests: bare messages over a WebSocket, and the JavaScript SDK. */
import { Centrifuge, type Options, type Subscription } from 'centrifuge';
import { WebSocket, type ClientOptions } from 'ws';
import { Client, type HubProcess } from '../support.ts';

export const path = 'connection/websocket';

export type Message = Record<string, unknown>;

/** Sends messages and reads them as they stand on the wire. */
export class Wire extends Client {
  /** the id of its connection, by the reply to `connect` */
  clientId = '';
  #lines: unknown[] = [];

  static async open(hub: { port: number }, options: ClientOptions = {}, query = ''): Promise<Wire> {
    const wire = new Wire(`ws://127.0.0.1:${hub.port}/${path}${query}`, options);
    await new Promise((resolve, reject) => wire.ws.once('open', resolve).once('error', reject));
    return wire;
  }

  /** Opens a connection and connects. */
  static async connect(hub: { port: number }, request: Message = {}): Promise<Wire> {
    const wire = await Wire.open(hub);
    wire.say({ id: 1, connect: request });
    const reply = await wire.line();
    if (!reply['connect']) throw new Error(`connect was answered with ${JSON.stringify(reply)}`);
    wire.clientId = (reply['connect'] as { client: string }).client;
    return wire;
  }

  /** Sends commands in one frame. */
  say(...commands: unknown[]): void {
    this.ws.send(commands.map((command) => JSON.stringify(command)).join('\n'));
  }

  /** The next message; pings are left out. */
  async line(): Promise<Message> {
    for (;;) {
      const next = this.#lines.shift();
      if (next === undefined) {
        const [frame] = await this.takeText(1);
        this.#lines = (frame ?? '').split('\n').map((line) => JSON.parse(line) as unknown);
      } else if (Object.keys(next as object).length > 0) {
        return next as Message;
      }
    }
  }

  async lines(count: number): Promise<Message[]> {
    const lines: Message[] = [];
    while (lines.length < count) lines.push(await this.line());
    return lines;
  }

  /** Sends a command and reads the next message. */
  async ask(command: unknown): Promise<Message> {
    this.say(command);
    return this.line();
  }
}

/** What an SDK has reported, in order; waits for what is expected. */
export class Events {
  readonly all: [name: string, event: Message][] = [];
  readonly #waiting = new Set<() => void>();

  push(name: string, event: unknown): void {
    this.all.push([name, event as Message]);
    for (const look of [...this.#waiting]) look();
  }

  /** The events of this name, as soon as there are so many. */
  until(name: string, count = 1): Promise<Message[]> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.of(name);
        if (found.length < count) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`waited in vain for ${count} ${name}; there are ${JSON.stringify(this.all)}`));
      }, 60_000);
      this.#waiting.add(look);
      look();
    });
  }

  of(name: string): Message[] {
    return this.all.filter(([other]) => other === name).map(([, event]) => event);
  }
}

const clientEvents = ['connecting', 'connected', 'disconnected', 'error', 'message'] as const;
const serverSideEvents = [
  'subscribed',
  'subscribing',
  'unsubscribed',
  'publication',
  'join',
  'leave',
] as const;
const subscriptionEvents = [
  'subscribing',
  'subscribed',
  'unsubscribed',
  'publication',
  'join',
  'leave',
  'error',
] as const;

export interface Sdk {
  readonly client: Centrifuge;
  readonly events: Events;
}

/** A client of the JavaScript SDK, which is not connected yet. */
export function sdkFor(
  t: { after: (done: () => void) => void },
  hub: HubProcess,
  options: Partial<Options> = {},
): Sdk {
  const client = new Centrifuge(`ws://127.0.0.1:${hub.port}/${path}`, {
    websocket: WebSocket,
    minReconnectDelay: 20,
    maxReconnectDelay: 500,
    ...options,
  });
  return watched(t, client);
}

/** Records the events of a client, and disconnects it after the test. */
export function watched(t: { after: (done: () => void) => void }, client: Centrifuge): Sdk {
  const events = new Events();
  for (const name of [...clientEvents, ...serverSideEvents]) {
    client.on(name, (event: unknown) => {
      events.push(name, event);
    });
  }
  t.after(() => {
    client.disconnect();
  });
  return { client, events };
}

/** Connects an SDK. */
export async function connectSdk(
  t: { after: (done: () => void) => void },
  hub: HubProcess,
  options: Partial<Options> = {},
): Promise<Sdk> {
  const sdk = sdkFor(t, hub, options);
  sdk.client.connect();
  await sdk.client.ready(30_000);
  return sdk;
}

/** Subscribes; resolves when the subscription is there. */
export async function subscribed(
  client: Centrifuge,
  channel: string,
  options: Parameters<Centrifuge['newSubscription']>[1] = {},
): Promise<{ sub: Subscription; events: Events }> {
  const sub = client.newSubscription(channel, {
    minResubscribeDelay: 20,
    maxResubscribeDelay: 500,
    ...options,
  });
  const events = new Events();
  for (const name of subscriptionEvents) {
    sub.on(name, (event: unknown) => {
      events.push(name, event);
    });
  }
  sub.subscribe();
  await sub.ready(30_000);
  return { sub, events };
}

/** The data of publications. */
export function dataOf(publications: readonly Message[]): unknown[] {
  return publications.map(({ data }) => data);
}
