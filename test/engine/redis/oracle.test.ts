/**
 * Three hubs over one Redis whose primary fails over with losses, while brokers and connections are killed. An oracle compares what
 * every reader gets with the positions that the hubs have told. ORACLE_ROUNDS makes it longer.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { movingAddress, noRedis, RedisServer } from '../../redis-server.ts';
import { Client, eventually, hubFor, type HubProcess } from '../../support.ts';

const rounds = Number(process.env['ORACLE_ROUNDS'] ?? 1);
const channel = 'log:oracle';
const namespaces = JSON.stringify([{ name: 'log', historySize: 100_000, historyTtl: '1h' }]);

interface Message {
  epoch: string;
  offset: number;
  data: string;
}

/** A client that comes back with its position whenever it is closed. It fails where a message is missing or doubled. */
class Reader {
  /** messages by epoch */
  readonly seen = new Map<string, Message[]>();
  readonly faults: string[] = [];
  recovered = 0;
  #position: { epoch: string; offset: number } | null = null;
  #isEnded = false;
  #close: () => void = () => undefined;
  readonly #hubs: readonly HubProcess[];
  #turn: number;

  constructor(hubs: readonly HubProcess[], turn: number) {
    this.#hubs = hubs;
    this.#turn = turn;
    void this.#run();
  }

  /** Whether it is at this position or behind it. */
  has(epoch: string, offset: number): boolean {
    return this.#position?.epoch === epoch && this.#position.offset >= offset;
  }

  get epoch(): string | undefined {
    return this.#position?.epoch;
  }

  /** Closes it; it comes back with its position, on the next machine. */
  move(): void {
    this.#close();
  }

  end(): void {
    this.#isEnded = true;
  }

  async #run(): Promise<void> {
    while (!this.#isEnded) {
      const hub = this.#hubs[this.#turn++ % this.#hubs.length];
      const since = this.#position ? `&since=${this.#position.epoch}:${this.#position.offset}` : '';
      await this.#read(new Client(`ws://127.0.0.1:${hub?.port ?? 0}/${channel}?envelope=true${since}`, {}));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #read({ ws }: Client): Promise<void> {
    return new Promise((resolve) => {
      this.#close = () => {
        ws.close();
      };
      ws.on('message', (data: Buffer) => {
        const message = JSON.parse(data.toString()) as Message & { status?: string; recovered?: boolean };
        if (message.status !== undefined) this.#told(message);
        else if (message.offset > 0) this.#took(message);
      });
      ws.on('close', () => {
        resolve();
      });
    });
  }

  #told({ status, recovered, epoch, offset }: Message & { status?: string; recovered?: boolean }): void {
    if (status !== 'connected') return;
    if (recovered === true) this.recovered += 1;
    else this.#position = { epoch, offset };
  }

  #took(message: Message): void {
    const { epoch, offset } = this.#position ?? { epoch: '', offset: 0 };
    if (message.epoch !== epoch || message.offset !== offset + 1) {
      this.faults.push(`${message.epoch}:${message.offset} behind ${epoch}:${offset}`);
    }
    this.#position = { epoch: message.epoch, offset: message.offset };
    const messages = this.seen.get(message.epoch) ?? [];
    this.seen.set(message.epoch, messages);
    messages.push(message);
  }
}

it(
  'three hubs lose and double nothing that is acknowledged, and tell what a failover has lost',
  { skip: noRedis },
  async (t) => {
    let primary = await RedisServer.start(t);
    const address = await movingAddress(t, primary);
    const env = { WSHUB_ENGINE: 'redis', WSHUB_REDIS_URL: address.url, WSHUB_NAMESPACES: namespaces };
    const hubs = await Promise.all([1, 2, 3].map(() => hubFor(t, { workers: 1, env })));
    const readers = [0, 1, 2, 0, 1, 2].map((turn) => new Reader(hubs, turn));
    t.after(() => {
      for (const reader of readers) reader.end();
    });
    const acknowledged: Message[] = [];
    const isOver = { value: false };
    const publishers = hubs.map(async (hub, index) => {
      for (let number = 0; !isOver.value; number++) {
        const data = `${index}-${number}`;
        const { status, body } = await hub.admin('POST', `/channels/${channel}/messages`, {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(data),
        });
        if (status === 202) acknowledged.push({ ...(body as Message), data });
      }
    });
    const grow = async (count: number) => {
      const wanted = acknowledged.length + count;
      await eventually(
        () => (acknowledged.length >= wanted ? true : undefined),
        `${count} more publications`,
      );
    };
    /** All readers move to other machines and get what they miss meanwhile. */
    const moveReaders = async () => {
      for (const reader of readers) {
        await eventually(() => (reader.epoch === acknowledged.at(-1)?.epoch ? true : undefined), 'one epoch');
      }
      const before = readers.map(({ recovered }) => recovered);
      for (const reader of readers) reader.move();
      for (const [index, reader] of readers.entries()) {
        await eventually(() => (reader.recovered > (before[index] ?? 0) ? true : undefined), 'a resume');
      }
    };
    const killBroker = async (hub: HubProcess | undefined) => {
      const pids =
        hub?.log.flatMap(({ msg, brokerPid }) => (msg === 'broker ready' ? [Number(brokerPid)] : [])) ?? [];
      process.kill(pids.at(-1) ?? 0, 'SIGKILL');
      await grow(30);
    };
    for (let round = 0; round < rounds; round++) {
      await grow(100);
      await moveReaders();
      await killBroker(hubs[round % 3]);
      await primary.cli('client', 'kill', 'type', 'pubsub');
      await grow(50);
      await primary.cli('client', 'kill', 'type', 'normal');
      await grow(50);
      const replica = await RedisServer.start(t, { replicaOf: primary });
      await eventually(
        async () =>
          (await replica.cli('info', 'replication')).includes('master_link_status:up') ? true : undefined,
        'a replica',
      );
      await grow(50);
      await replica.cli('replicaof', '127.0.0.1', '1'); // it receives nothing more: what follows is lost
      await grow(50);
      await primary.kill();
      await replica.cli('replicaof', 'no', 'one');
      address.moveTo(replica);
      primary = replica;
      await grow(100);
      await moveReaders();
    }
    isOver.value = true;
    await Promise.all(publishers);
    const last = acknowledged.at(-1);
    assert.ok(last);
    const final = acknowledged.filter(({ epoch }) => epoch === last.epoch);
    const top = Math.max(...final.map(({ offset }) => offset));
    for (const reader of readers) {
      await eventually(() => (reader.has(last.epoch, top) ? true : undefined), 'the last publication');
      assert.deepEqual(reader.faults, []);
    }
    for (const { epoch, offset, data } of acknowledged) {
      for (const { seen } of readers) {
        const found = seen.get(epoch)?.filter((message) => message.offset === offset) ?? [];
        assert.ok(found.length <= 1, `${epoch}:${offset} twice`);
        for (const message of found) assert.equal(message.data, data, `${epoch}:${offset} is one message`);
      }
    }
    assert.ok(
      new Set(acknowledged.map(({ epoch }) => epoch)).size > rounds,
      'each failover begins a new epoch',
    );
  },
);
