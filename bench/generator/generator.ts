// One generator process's share of the load: opens connections, publishes at a pace, counts what arrives.
import { Histogram } from '../histogram.ts';
import { protocols, type ProtocolName } from '../protocols/protocols.ts';
import { Connection, join, type Target } from './connection.ts';
import { nowUs } from './message.ts';
import { Pacer } from './pacer.ts';
import { measureRelay, type RelayDelays } from './relay.ts';

const openAtOnce = 64;
const churnAtOnce = 256;
const stormAtOnce = 1_000;
const echoTimeoutMs = 30_000;

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

/** A connection that has left, and how it comes back. */
interface Place {
  readonly channel: string;
  readonly member: number;
  /** its position; null: the channel has no history */
  readonly since: string | null;
}

/** What became of connections that came back. */
export interface Returned {
  /** those that were told that they get what they have missed */
  readonly recovered: number;
  /** delays from connect to joined */
  readonly joins: string;
}

export class Generator {
  readonly #target: Target;
  readonly #delays = new Histogram();
  #connections: Connection[] = [];
  /** of each connection, in their order; after `leaveAll` those that may come back */
  readonly #places: Place[] = [];
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
        const member = index % population.members;
        const { connection, text } = await join(this.#target, channel, member, this.#delays);
        this.#places.push({ channel, member, since: positionIn(text) });
        connection.onFailed = (reason) => {
          this.#noteLoss(reason);
        };
        this.#connections.push(connection);
        if (connection.member < population.publishers) this.#publishers.push(connection);
      }
    };
    await Promise.all(Array.from({ length: openAtOnce }, openOneByOne));
  }

  /** Closes every connection. */
  async leaveAll(): Promise<void> {
    const connections = this.#connections;
    this.#connections = [];
    await Promise.all(
      connections.map(
        (connection) =>
          new Promise<void>((resolve) => {
            connection.onFailed = () => undefined;
            connection.onClosed = resolve;
            connection.leave();
          }),
      ),
    );
  }

  /** Publishes `count` messages on each channel of this share, from a connection that then leaves. */
  async publishEach(population: Population, { part, of }: Share, count: number): Promise<void> {
    for (let index = part; index < population.channels; index += of) {
      const { connection } = await join(this.#target, `${population.name}${index}`, 0, new Histogram());
      const deadline = performance.now() + echoTimeoutMs;
      for (let sent = 0; sent < count; sent++) connection.publish();
      while (connection.received < count) {
        if (performance.now() > deadline) throw new Error('the server did not deliver what was published');
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      connection.leave();
    }
  }

  /** Brings all that have left back at once, with their positions or without. */
  async comeBack(resumes: boolean): Promise<Returned> {
    const joins = new Histogram();
    let recovered = 0;
    let next = 0;
    const returnOneByOne = async (): Promise<void> => {
      for (let place = this.#places[next++]; place; place = this.#places[next++]) {
        const query = resumes && place.since !== null ? `?since=${place.since}` : '';
        const startedUs = nowUs();
        const { connection, text } = await join(
          this.#target,
          `${place.channel}${query}`,
          place.member,
          this.#delays,
        );
        joins.record(nowUs() - startedUs);
        if (text.includes('"recovered":true')) recovered += 1;
        connection.onFailed = (reason) => {
          this.#noteLoss(reason);
        };
        this.#connections.push(connection);
      }
    };
    await Promise.all(Array.from({ length: stormAtOnce }, returnOneByOne));
    return { recovered, joins: joins.take() };
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

/** The position in the hub's first message; null: it has none. */
function positionIn(text: string): string | null {
  const [, epoch, offset] = /"epoch":"([^"]*)","offset":(\d+)/.exec(text) ?? [];
  return epoch === undefined || offset === undefined ? null : `${epoch}:${offset}`;
}
