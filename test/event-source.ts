/** A client of server-sent events for tests: one request, all its events by the rules of the HTML standard, section 9.2.6. */
import assert from 'node:assert/strict';
import http from 'node:http';

export interface StreamEvent {
  event: string;
  data: string;
  /** the last id that was set; '': none */
  id: string;
}

export class EventSourceClient {
  status = 0;
  headers: http.IncomingHttpHeaders = {};
  readonly events: StreamEvent[] = [];
  /** all text that came */
  text = '';
  comments = 0;
  /** the reconnection time */
  retryMs: number | undefined;
  ended = false;
  readonly request: http.ClientRequest;
  response: http.IncomingMessage | undefined;
  #taken = 0;
  #waiting: (() => void)[] = [];
  #line = '';
  #id = '';
  #event = '';
  #data: string[] = [];

  constructor(port: number, path: string, headers: http.OutgoingHttpHeaders = {}) {
    this.request = http.get(
      {
        host: '127.0.0.1',
        port,
        path: `/${path}`,
        headers: { accept: 'text/event-stream', ...headers },
        agent: false,
      },
      (response) => {
        this.response = response;
        this.status = response.statusCode ?? 0;
        this.headers = response.headers;
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          this.#read(chunk);
        });
        response.on('error', () => undefined); // `close` follows
        response.on('close', () => {
          this.#end();
        });
        this.#happened();
      },
    );
    this.request.on('error', () => {
      this.#end();
    });
  }

  /** Resolves once the head of the response has come. */
  async answered(): Promise<this> {
    await this.until(() => this.status !== 0, 'an answer');
    return this;
  }

  async next(): Promise<StreamEvent> {
    const at = this.#taken;
    this.#taken += 1;
    await this.until(() => this.events.length > at, `event ${at}`);
    return this.events[at] as StreamEvent;
  }

  /** The data of the next events, parsed; they must be messages of the channel. */
  async take(count: number): Promise<unknown[]> {
    const data: unknown[] = [];
    while (data.length < count) {
      const next = await this.next();
      assert.equal(next.event, 'message', JSON.stringify(next));
      data.push(JSON.parse(next.data));
    }
    return data;
  }

  /** Resolves once the stream is at its end. */
  async end(): Promise<void> {
    while (!this.ended) await this.#wait('the end');
  }

  async until(isReached: () => boolean, what: string): Promise<void> {
    while (!isReached()) {
      assert.ok(!this.ended, `the stream has ended before ${what}: ${this.status} ${this.text}`);
      await this.#wait(what);
    }
  }

  close(): void {
    this.request.destroy();
  }

  #wait(what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`waited in vain for ${what} in ${this.text.slice(-500)}`));
      }, 60_000);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #happened(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }

  #end(): void {
    this.ended = true;
    this.#happened();
  }

  #read(chunk: string): void {
    this.text += chunk;
    const lines = (this.#line + chunk).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) this.#take(line);
    this.#happened();
  }

  #take(line: string): void {
    if (line === '') {
      if (this.#data.length > 0) {
        this.events.push({ event: this.#event || 'message', data: this.#data.join('\n'), id: this.#id });
      }
      this.#data = [];
      this.#event = '';
      return;
    }
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
    if (name === '') this.comments += 1;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'event') this.#event = value;
    else if (name === 'id') this.#id = value;
    else if (name === 'retry') this.retryMs = Number(value);
  }
}

/** Opens a stream and reads `connected`. */
export async function openStream(
  { port }: { port: number },
  path: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<[EventSourceClient, Connected]> {
  const stream = new EventSourceClient(port, path, headers);
  const first = await stream.next();
  assert.equal(first.event, 'connected', stream.text);
  return [stream, { ...(JSON.parse(first.data) as Connected), id: first.id }];
}

export interface Connected {
  status: string;
  connectionId: string;
  workerId: string;
  channel: string;
  epoch?: string;
  offset?: number;
  recovered?: boolean;
  id: string;
}
