/** Clients of the Centrifugal protocol over HTTP streams for tests: bare messages, and the JavaScript SDK. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { Centrifuge, type Options } from 'centrifuge';
import { request, type Answer, type HubProcess } from '../support.ts';
import { EventSourceClient } from '../event-source.ts';
import { Events, watched, type Message, type Sdk } from './wire.ts';

/** A stream in lines, and its messages. */
export class LineStream {
  status = 0;
  headers: http.IncomingHttpHeaders = {};
  session = '';
  node = '';
  readonly messages = new Events();
  readonly #hub: HubProcess;
  readonly #request: http.ClientRequest;
  readonly ended: Promise<void>;

  private constructor(
    hub: HubProcess,
    kind: string,
    body: string,
    headers: http.OutgoingHttpHeaders,
    opened: () => void,
  ) {
    this.#hub = hub;
    const options = {
      host: '127.0.0.1',
      port: hub.port,
      method: 'POST',
      path: `/connection/${kind}`,
      headers,
      agent: false,
    };
    this.#request = http.request(options);
    const ended = Promise.withResolvers<undefined>();
    this.ended = ended.promise;
    this.#request.on('error', () => {
      ended.resolve(undefined);
    });
    this.#request.on('response', (response) => {
      this.status = response.statusCode ?? 0;
      this.headers = response.headers;
      response.setEncoding('utf8');
      let rest = '';
      response.on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.messages.push('message', JSON.parse(line || '{}'));
      });
      response.on('error', () => undefined); // `close` follows
      response.on('close', () => {
        ended.resolve(undefined);
      });
      opened();
    });
    this.#request.end(body);
  }

  /** Opens a stream with these commands; resolves with the head of the response. */
  static async open(
    hub: HubProcess,
    body: string,
    headers: http.OutgoingHttpHeaders = {},
    kind = 'http_stream',
  ): Promise<LineStream> {
    return new Promise((resolve) => {
      const stream: LineStream = new LineStream(hub, kind, body, headers, () => {
        resolve(stream);
      });
    });
  }

  /** Opens a stream and connects. */
  static async connect(hub: HubProcess, connect: Message = {}): Promise<LineStream> {
    const stream = await LineStream.open(hub, JSON.stringify({ id: 1, connect }));
    const [first] = await stream.messages.until('message');
    const { session, node } = first?.['connect'] as { session: string; node: string };
    Object.assign(stream, { session, node });
    return stream;
  }

  /** Sends commands with a request of its own. */
  say(
    commands: readonly unknown[],
    options: { agent?: http.Agent; session?: string; node?: string } = {},
  ): Promise<Answer> {
    const { agent, session = this.session, node = this.node } = options;
    const data = commands.map((command) => JSON.stringify(command)).join('\n');
    return request(this.#hub.port, 'POST', '/emulation', {
      body: JSON.stringify({ session, node, data }),
      ...(agent && { agent }),
    });
  }

  /** The messages so far, from the first reply or push on. */
  async take(count: number): Promise<Message[]> {
    const isMessage = (message: Message) => Object.keys(message).length > 0;
    for (let wanted = count; ; wanted += 1) {
      const all = (await this.messages.until('message', wanted)).filter(isMessage);
      if (all.length >= count) return all;
    }
  }

  close(): void {
    this.#request.destroy();
  }
}

/** The EventSource that the SDK is given. */
class TestEventSource {
  onopen: () => void = () => undefined;
  onmessage: (event: { data: string }) => void = () => undefined;
  onerror: (event: object) => void = () => undefined;
  readonly #client: EventSourceClient;

  constructor(url: string) {
    const { port, pathname, search } = new URL(url);
    this.#client = new EventSourceClient(Number(port), `${pathname.slice(1)}${search}`);
    this.#run().catch(() => {
      this.onerror({});
    });
  }

  async #run(): Promise<never> {
    await this.#client.answered();
    assert.equal(this.#client.status, 200);
    this.onopen();
    for (;;) this.onmessage(await this.#client.next());
  }

  close(): void {
    this.#client.close();
  }
}

export type StreamTransport = 'http_stream' | 'sse';

/** A client of the JavaScript SDK over one kind of stream, which is not connected yet. */
export function streamSdk(
  t: { after: (done: () => void) => void },
  { port }: HubProcess,
  transport: StreamTransport,
  options: Partial<Options> = {},
  Client: typeof Centrifuge = Centrifuge,
): Sdk {
  const url = `http://127.0.0.1:${port}`;
  const client = new Client([{ transport, endpoint: `${url}/connection/${transport}` }], {
    fetch,
    readableStream: ReadableStream,
    eventsource: TestEventSource,
    emulationEndpoint: `${url}/emulation`,
    minReconnectDelay: 20,
    maxReconnectDelay: 500,
    ...options,
  });
  return watched(t, client);
}
