// One generator process's share of the load: opens connections, publishes at a pace, counts what arrives.
import { Histogram } from '../histogram.ts';
import { protocols, type ProtocolName } from '../protocols/protocols.ts';
import { Connection, join, type Target } from './connection.ts';
import { nowUs } from './message.ts';
import { Pacer } from './pacer.ts';
import { measureRelay, type RelayDelays } from './relay.ts';

const openAtOnce = 64;
const churnAtOnce = 256;

/** `members` connections on each of the channels `<name>0`, `<name>1`, …; the first `publishers` of them also send. */
export interface Population {
  readonly name: string;
  readonly channels: number;
  readonly members: number;
  readonly publishers: number;
}

/** Every `of`th connection of a population, beginning with `part`. */
export interface Share {
  readonly part: number;
  readonly of: number;
}

export interface Snapshot {
  readonly atUs: number;
  /** Messages published, or connections opened by churn. */
  readonly sent: number;
  /** Messages delivered, or connections that churn brought onto their channel. */
  readonly received: number;
  /** Connections that the server closed or that failed. */
  readonly lost: number;
  readonly lastFailure: string;
  readonly cpuUs: number;
  /** Delays of received messages, and of the sending itself, since the last snapshot. */
  readonly delays: string;
  readonly lateness: string;
}

export class Generator {
  readonly #target: Target;
  readonly #delays = new Histogram();
  readonly #connections: Connection[] = [];
  /** Those of the connections that send. */
  readonly #publishers: Connection[] = [];
  readonly #pacer = new Pacer();
  #churnOpen = 0;
  #churnJoined = 0;
  #lost = 0;
  #lastFailure = '';

  constructor(port: number, protocol: ProtocolName) {
    this.#target = { port, protocol: protocols[protocol] };
  }

  async open(population: Population, { part, of }: Share): Promise<void> {
    const total = population.channels * population.members;
    let next = part;
    const openOneByOne = async (): Promise<void> => {
      while (next < total) {
        const index = next;
        next += of;
        const channel = `${population.name}${Math.floor(index / population.members)}`;
        const { connection } = await join(this.#target, channel, index % population.members, this.#delays);
        connection.onFailed = (reason) => {
          this.#noteLoss(reason);
        };
        this.#connections.push(connection);
        if (connection.member < population.publishers) this.#publishers.push(connection);
      }
    };
    await Promise.all(Array.from({ length: openAtOnce }, openOneByOne));
  }

  startSending(perSecond: number): void {
    // Messages that follow each other go to different channels wherever there is more than one.
    const publishers = this.#publishers.toSorted((a, b) => a.member - b.member);
    if (publishers.length === 0) throw new Error('this generator has no publisher: use fewer generators');
    this.#pacer.start(perSecond, (count) => {
      publishers[count % publishers.length]?.publish();
    });
  }

  /** Opens connections to new channels at this rate, and closes each at once. */
  startChurn(part: number, perSecond: number): void {
    this.#pacer.start(perSecond, (count) => {
      if (this.#churnOpen < churnAtOnce) this.#churnOnce(`churn${part}.${count}`);
      else this.#noteLoss(`${churnAtOnce} connections are already waiting`);
    });
  }

  stopSending(): void {
    this.#pacer.stop();
  }

  snapshot(): Snapshot {
    const { user, system } = process.cpuUsage();
    return {
      atUs: nowUs(),
      sent: this.#pacer.made,
      received: this.#connections.reduce((sum, { received }) => sum + received, this.#churnJoined),
      lost: this.#lost,
      lastFailure: this.#lastFailure,
      cpuUs: user + system,
      delays: this.#delays.take(),
      lateness: this.#pacer.lateness.take(),
    };
  }

  relay(perSecond: number, durationMs: number): Promise<RelayDelays> {
    return measureRelay(this.#target, perSecond, durationMs);
  }

  #churnOnce(channel: string): void {
    const startedUs = nowUs();
    const connection = new Connection(this.#target, channel, 0, this.#delays);
    this.#churnOpen += 1;
    connection.onJoined = () => {
      this.#delays.record(nowUs() - startedUs);
      this.#churnJoined += 1;
      connection.onFailed = () => undefined;
      connection.leave();
    };
    connection.onFailed = (reason) => {
      this.#noteLoss(reason);
      connection.destroy();
    };
    connection.onClosed = () => {
      this.#churnOpen -= 1;
    };
  }

  #noteLoss(reason: string): void {
    this.#lost += 1;
    this.#lastFailure = reason;
  }
}
