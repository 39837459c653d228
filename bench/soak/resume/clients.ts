/** Clients of the resume soak: they tell the model of their channel everything that the hub tells them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { Position } from '../../../src/channel/position.ts';
import { codeOf } from '../../../test/support.ts';
import type { ChannelModel, Faults, Numbered } from './model.ts';
import type { Random } from './random.ts';
import type { TroubledHub } from './troubled-hub.ts';

/** What all clients share. */
export interface Soak {
  readonly troubled: TroubledHub;
  readonly faults: Faults;
  readonly random: Random;
  /** publishers stop */
  isCalm: boolean;
  /** clients stop */
  isOver: boolean;
  /** how connections ended, by close code; 0: the handshake failed */
  readonly closes: Map<number, number>;
}

interface Received {
  readonly status?: string;
  readonly connectionId?: string;
  readonly epoch?: string;
  readonly offset?: number;
  readonly recovered?: boolean;
  readonly data?: Numbered;
  readonly error?: { readonly code: string };
}

const retryMs = 100;
const isLoaded = ({ isCalm }: Soak) => !isCalm;
/** of the hub's own codes, those that a client of this soak may get */
const isExpected = (code: number) => code < 4000 || code >= 4100;

/** One connection. Its publications must follow one another from its position on. */
export class Connection {
  readonly #soak: Soak;
  readonly #model: ChannelModel;
  readonly #ws: WebSocket;
  readonly #since: Position | null;
  readonly #knownTop: number;
  /** the last publication that came, or what `connected` said; null: not connected yet */
  position: Position | null = null;
  connectionId = '';
  recovered: boolean | undefined;
  readonly #openedAt = (performance.now() / 1_000).toFixed(1);
  #isClosed = false;
  #changed: (() => void)[] = [];

  constructor(soak: Soak, model: ChannelModel, since: Position | null) {
    this.#soak = soak;
    this.#model = model;
    this.#since = since;
    this.#knownTop = model.top;
    const { port } = soak.troubled.hub;
    const query = since ? `&since=${since.epoch}:${since.offset}` : '';
    this.#ws = new WebSocket(`ws://127.0.0.1:${port}/${model.name}?envelope=true${query}`);
    this.#ws.on('message', (data: Buffer) => {
      this.#read(JSON.parse(data.toString()) as Received);
      this.#wake();
    });
    this.#ws.on('error', (error) => {
      // Another hub may have the port by now.
      const isRefused = /server response: (?!503)/.test(error.message);
      if (isRefused && port === soak.troubled.hub.port) soak.faults.add(`${model.name}: ${error.message}`);
    });
    this.#ws.on('close', (code) => {
      this.#isClosed = true;
      const how = this.position === null ? 0 : code;
      soak.closes.set(how, (soak.closes.get(how) ?? 0) + 1);
      if (code === 4201 && this.position) model.gapTold(this.position);
      if (!isExpected(code)) soak.faults.add(`${model.name}: closed with ${code}`);
      this.#wake();
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Resolves when it holds, or the connection is closed. @returns whether it holds */
  async until(holds: () => boolean): Promise<boolean> {
    while (!holds() && !this.#isClosed) await new Promise<void>((resolve) => this.#changed.push(resolve));
    return holds();
  }

  opened(): Promise<boolean> {
    return this.until(() => this.position !== null);
  }

  send(message: Numbered): void {
    if (this.#ws.readyState === WebSocket.OPEN) this.#ws.send(JSON.stringify(message));
  }

  end(): void {
    this.#ws.terminate();
  }

  /** What it is, for a fault. */
  #life(): string {
    const from = this.#since ? `since ${this.#since.offset}` : 'anew';
    return `connection ${this.connectionId} from ${this.#openedAt} s ${from}, recovered ${String(this.recovered)}`;
  }

  #wake(): void {
    for (const look of this.#changed.splice(0)) look();
  }

  #read({ status, connectionId, epoch = '', offset = -1, recovered, data, error }: Received): void {
    if (status === 'connected') {
      this.connectionId = connectionId ?? '';
      this.recovered = recovered;
      const answer = recovered === undefined ? { epoch, offset } : { epoch, offset, recovered };
      this.#model.answered(this.#since, this.#knownTop, answer);
      this.position = { epoch, offset };
    } else if (data && this.position) {
      const { name } = this.#model;
      if (offset !== this.position.offset + 1 || epoch !== this.position.epoch)
        this.#soak.faults.add(`${name}: ${epoch}:${offset} after ${this.position.offset}, ${this.#life()}`);
      if (data.by.startsWith('socket') && data.by !== `socket ${connectionId ?? ''}`)
        this.#soak.faults.add(`${name}: ${data.by} came from ${connectionId ?? 'nobody'}`);
      this.position = { epoch, offset };
      this.#model.received(this.position, data);
    } else if (error) {
      if (error.code !== 'unavailable') this.#soak.faults.add(`${this.#model.name}: error ${error.code}`);
      this.#model.notAccepted(`socket ${this.connectionId}`);
    } else if (status !== 'draining' && status !== 'disconnected') {
      this.#soak.faults.add(
        `${this.#model.name}: ${JSON.stringify({ status, offset, data })} is not expected`,
      );
    }
  }
}

/** A client that keeps its position and comes back with it. */
export class Subscriber {
  readonly #soak: Soak;
  readonly model: ChannelModel;
  readonly #stays: boolean;
  position: Position | null = null;
  returns = 0;

  /** @param stays it only leaves when the hub ends its connection */
  constructor(soak: Soak, model: ChannelModel, stays: boolean) {
    this.#soak = soak;
    this.model = model;
    this.#stays = stays;
  }

  async run(): Promise<void> {
    const { random } = this.#soak;
    while (!this.#soak.isOver) {
      await this.#soak.troubled.up;
      const connection = new Connection(this.#soak, this.model, this.position);
      if (!(await connection.opened())) {
        await sleep(retryMs);
        continue;
      }
      if (this.position) this.returns += 1;
      const leaving = this.#stays ? undefined : this.#leave(connection);
      await connection.until(() => {
        this.position = connection.position;
        return this.#soak.isOver;
      });
      clearTimeout(leaving);
      connection.end();
      if (!this.#stays && !this.#soak.isCalm)
        await sleep(random.next() < 0.7 ? random.between(0, 500) : random.between(500, 4_000));
    }
  }

  #leave(connection: Connection): NodeJS.Timeout {
    return setTimeout(
      () => {
        if (!this.#soak.isCalm) connection.end();
      },
      this.#soak.random.between(50, 2_500),
    );
  }

  /** It has received everything up to this offset. */
  has(offset: number): boolean {
    return (this.position?.offset ?? -1) >= offset;
  }
}

/** Comes with positions of all kinds, reads what it missed, and goes. */
export async function probe(soak: Soak, models: readonly ChannelModel[]): Promise<void> {
  const { random } = soak;
  while (!soak.isCalm) {
    await soak.troubled.up;
    const model = random.pick(models);
    const { epoch, offset } = model.position;
    const back = random.between(0, Math.min(offset, Math.floor(model.historySize * 1.3)));
    if (epoch !== '') {
      const since = random.pick([
        { epoch, offset: offset - back },
        { epoch, offset: offset - back },
        { epoch, offset: offset + 1_000_000 },
        { epoch: 'unknown', offset },
      ]);
      await visit(soak, model, since);
    }
    await sleep(random.between(50, 300));
  }
}

/** Comes with a position and reads what was there. @returns what `recovered` said; undefined: it was not let in */
export async function visit(soak: Soak, model: ChannelModel, since: Position): Promise<boolean | undefined> {
  const { top } = model;
  const connection = new Connection(soak, model, since);
  await connection.until(() => (connection.position?.offset ?? -1) >= top);
  connection.end();
  return connection.recovered;
}

/** Publishes over a WebSocket; what comes back to it is acknowledged. */
export async function speak(soak: Soak, model: ChannelModel, everyMs: number): Promise<void> {
  while (!soak.isCalm) {
    await soak.troubled.up;
    const connection = new Connection(soak, model, null);
    if (!(await connection.opened())) {
      await sleep(retryMs);
      continue;
    }
    const by = `socket ${connection.connectionId}`;
    for (let n = 1; !connection.isClosed && isLoaded(soak); n += 1) {
      connection.send({ by, n });
      await sleep(everyMs);
    }
    await connection.until(() => soak.isOver);
    connection.end();
  }
}

/** Publishes over HTTP, one request after the other. */
export async function post(soak: Soak, model: ChannelModel, by: string, everyMs: number): Promise<void> {
  for (let n = 1; !soak.isCalm; n += 1) {
    await soak.troubled.up;
    const outcome = await postOne(soak, model, { by, n });
    if (outcome === 'refused') model.refused({ by, n });
    await sleep(everyMs);
  }
}

/** Publishes over HTTP with idempotency keys: each message again until it is acknowledged, and yet stored once. */
export async function postAgain(soak: Soak, model: ChannelModel, by: string, everyMs: number): Promise<void> {
  for (let n = 1; !soak.isCalm; n += 1) {
    while ((await postOne(soak, model, { by, n }, `${by} ${n}`)) !== 'acknowledged') {
      await sleep(retryMs);
      await soak.troubled.up;
    }
    await sleep(everyMs);
  }
}

export async function postOne(
  soak: Soak,
  model: ChannelModel,
  message: Numbered,
  key?: string,
): Promise<'acknowledged' | 'refused' | 'unknown'> {
  const { hub } = soak.troubled;
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  const body = JSON.stringify(message);
  const answer = await hub
    .admin('POST', `/channels/${model.name}/messages`, { port: hub.port, headers, body })
    .catch(() => undefined);
  if (answer?.status === 202) {
    const { epoch, offset } = answer.body as Partial<Position>;
    const position = epoch === undefined || offset === undefined ? null : { epoch, offset };
    model.acknowledged(position, message);
    return 'acknowledged';
  }
  if (answer && codeOf(answer) === 'unavailable') return 'refused';
  if (answer && answer.status !== 504)
    soak.faults.add(`POST answered ${answer.status} ${JSON.stringify(answer.body)}`);
  return 'unknown';
}
