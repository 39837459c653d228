/**
 * Many clients that follow the protocol: closed with 1012, they reconnect after the time in the close reason.
 * Publishers send numbered messages all the time; what subscribers got is compared in `gaps`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

const publishIntervalMs = 50;
const openAtOnce = 50;

/** One connection of a subscriber, and the numbers that it received from each publisher's connection. */
interface Session {
  numbers: Map<string, number[]>;
  isOpen: boolean;
}

export class Fleet {
  /** clients that have read `connected` and are not closed */
  connected = 0;
  /** handshakes that failed */
  readonly refused: string[] = [];
  readonly closes: { code: number; reason: string }[] = [];
  /** numbered messages received by all subscribers */
  messages = 0;
  readonly #url: string;
  readonly #sockets = new Set<WebSocket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #sessions: Session[] = [];
  /** of each publisher that is still there */
  readonly #lastNumbers = new Map<string, number>();
  #publishing = true;
  #ended = false;
  #lastPublisher = 0;

  constructor(port: number) {
    this.#url = `ws://127.0.0.1:${port}`;
  }

  /** Resolves when all are connected. */
  async open(counts: { idle: number; subscribers: number; publishers: number }): Promise<void> {
    const starts = [
      ...Array.from({ length: counts.idle }, (_, n) => () => this.#connect(`idle/${n % 200}`)),
      ...Array.from({ length: counts.subscribers }, () => () => this.#connect('news')),
      ...Array.from({ length: counts.publishers }, () => () => this.#connect('news?echo=false', true)),
    ];
    while (starts.length > 0) await Promise.all(starts.splice(0, openAtOnce).map((start) => start()));
  }

  /** Makes each publisher send once more, for the latest subscribers, and waits until everything has arrived. */
  async settle(): Promise<void> {
    const before = new Map(this.#lastNumbers);
    while ([...this.#lastNumbers].some(([publisher, number]) => number === before.get(publisher))) {
      await sleep(publishIntervalMs);
    }
    this.#publishing = false;
    let seen = -1;
    while (seen !== this.messages) {
      seen = this.messages;
      await sleep(500);
    }
  }

  /** Returns the gaps: numbers that a subscriber missed between two others, or received in another order. */
  gaps(): string[] {
    return this.#sessions.flatMap(({ numbers }, session) =>
      [...numbers].flatMap(([publisher, got]) =>
        got.every((number, index) => number === (got[0] ?? 0) + index)
          ? []
          : [`session ${session} got of ${publisher}: ${got.join(' ')}`],
      ),
    );
  }

  /** Returns the subscribers without the last number of a publisher. To be called after `settle`. */
  missingEnds(): string[] {
    const open = this.#sessions.filter(({ isOpen }) => isOpen);
    return open.flatMap(({ numbers }) =>
      [...this.#lastNumbers].flatMap(([publisher, number]) => {
        const got = numbers.get(publisher)?.at(-1);
        return got === number
          ? []
          : [`${publisher} sent up to ${number}, somebody got up to ${got ?? 'none'}`];
      }),
    );
  }

  end(): void {
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.terminate();
  }

  /** Resolves when it has read `connected`. It reconnects automatically. */
  #connect(path: string, publishes = false): Promise<void> {
    return new Promise((resolve) => {
      const ws = new WebSocket(`${this.#url}/${path}`, { perMessageDeflate: false });
      this.#sockets.add(ws);
      const session: Session = { numbers: new Map(), isOpen: true };
      let isConnected = false;
      let publisher: NodeJS.Timeout | undefined;
      ws.on('message', (data) => {
        const text = (data as Buffer).toString();
        if (text.startsWith('{"status":"connected"')) {
          isConnected = true;
          this.connected += 1;
          if (path === 'news') this.#sessions.push(session);
          if (publishes) publisher = this.#publish(ws);
          resolve();
        } else if (text.startsWith('{"publisher"')) {
          const message = JSON.parse(text) as { publisher: string; number: number };
          const got = session.numbers.get(message.publisher) ?? [];
          session.numbers.set(message.publisher, got);
          got.push(message.number);
          this.messages += 1;
        }
      });
      ws.on('error', (error) => {
        if (!this.#ended) this.refused.push(error.message);
      });
      ws.on('close', (code, reason) => {
        this.#sockets.delete(ws);
        session.isOpen = false;
        clearInterval(publisher);
        if (isConnected) this.connected -= 1;
        if (this.#ended) return;
        this.closes.push({ code, reason: reason.toString() });
        const retryMs = Number(/retry=(\d+)/.exec(reason.toString())?.[1] ?? 0);
        const timer = setTimeout(() => {
          this.#timers.delete(timer);
          void this.#connect(path, publishes);
        }, retryMs);
        this.#timers.add(timer);
      });
    });
  }

  #publish(ws: WebSocket): NodeJS.Timeout {
    const publisher = `p${++this.#lastPublisher}`;
    ws.once('close', () => this.#lastNumbers.delete(publisher));
    let number = 0;
    return setInterval(() => {
      if (this.#publishing && ws.readyState === WebSocket.OPEN) {
        this.#lastNumbers.set(publisher, number);
        ws.send(JSON.stringify({ publisher, number: number++ }));
      }
    }, publishIntervalMs);
  }
}
