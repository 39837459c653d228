/**
 * Whether resume keeps its promise whatever dies: publishers over WebSocket and HTTP, clients that stay and clients that
 * come back with their positions, on a channel that keeps everything and on one that keeps little, while a hub with a
 * state directory gets into troubles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../../../test/support.ts';
import { post, postAgain, postOne, probe, speak, Subscriber, visit, type Soak } from './clients.ts';
import { ChannelModel, Faults } from './model.ts';
import { Random } from './random.ts';
import { TroubledHub, type Trouble } from './troubled-hub.ts';

export interface OracleOptions {
  stateDir: string;
  seed: number;
  /** clients that stay, and as many that leave and return, half of each on each channel */
  clients: number;
  /** of each publisher */
  publishEveryMs: number;
}

export interface Outcome {
  faults: readonly string[];
  summary: string;
}

/** the first channel loses nothing that anybody misses */
const sizes = { long: 10_000, short: 100 };

export class ResumeOracle {
  readonly #soak: Soak;
  readonly #options: OracleOptions;
  readonly #long: ChannelModel;
  readonly #short: ChannelModel;
  readonly #subscribers: Subscriber[];
  readonly #publishing: Promise<void>[] = [];
  readonly #subscribing: Promise<void>[];

  private constructor(soak: Soak, options: OracleOptions) {
    const { faults } = soak;
    this.#soak = soak;
    this.#options = options;
    this.#long = new ChannelModel('long:room', sizes.long, faults);
    this.#short = new ChannelModel('short:room', sizes.short, faults);
    this.#subscribers = Array.from({ length: 2 * options.clients }, (_, n) => {
      return new Subscriber(soak, n % 4 < 2 ? this.#long : this.#short, n % 2 === 0);
    });
    this.#subscribing = this.#subscribers.map((subscriber) => subscriber.run());
  }

  /** Resolves when all subscribers are there, and the publishers begin. */
  static async start(options: OracleOptions): Promise<ResumeOracle> {
    const env = {
      WSHUB_STATE_DIR: options.stateDir,
      WSHUB_NAMESPACES: JSON.stringify(
        Object.entries(sizes).map(([name, historySize]) => ({ name, historySize, historyTtl: '1h' })),
      ),
      WSHUB_DRAIN_SPREAD_MS: '500',
      WSHUB_STOP_SPREAD_MS: '0',
      WSHUB_LOG_LEVEL: 'info',
    };
    const random = new Random(options.seed);
    const troubled = await TroubledHub.start(env, random);
    const soak = { troubled, faults: new Faults(), random, isCalm: false, isOver: false, closes: new Map() };
    const oracle = new ResumeOracle(soak, options);
    await oracle.#all(({ position }) => position !== null, 'all subscribers');
    oracle.#publish();
    return oracle;
  }

  async trouble(trouble: Trouble): Promise<void> {
    this.#soak.faults.context = trouble;
    await this.#soak.troubled.cause(trouble);
  }

  /** Waits for a random time. */
  async pause(minMs: number, maxMs: number): Promise<void> {
    await sleep(this.#soak.random.between(minMs, maxMs));
  }

  /** Lets everything come to rest, compares, and ends the hub. */
  async finish(): Promise<Outcome> {
    const soak = this.#soak;
    await soak.troubled.calm();
    soak.isCalm = true;
    for (const model of [this.#long, this.#short]) await this.#settle(model);
    soak.isOver = true;
    await this.#edges();
    await soak.troubled.hub.end();
    await Promise.all([...this.#publishing, ...this.#subscribing]);
    this.#long.judge(true);
    this.#short.judge(false);
    return { faults: soak.faults.first, summary: this.#summary() };
  }

  #publish(): void {
    const { publishEveryMs } = this.#options;
    for (const model of [this.#long, this.#short]) {
      for (let n = 0; n < 3; n += 1) this.#publishing.push(speak(this.#soak, model, publishEveryMs));
      this.#publishing.push(post(this.#soak, model, 'post', publishEveryMs));
      this.#publishing.push(postAgain(this.#soak, model, 'keyed', publishEveryMs));
    }
    this.#publishing.push(probe(this.#soak, [this.#long, this.#short]));
  }

  /** Every subscriber must get a last message, and everything before it. */
  async #settle(model: ChannelModel): Promise<void> {
    const last = { by: 'last', n: 0 };
    await eventually(async () => {
      last.n += 1;
      return (await postOne(this.#soak, model, last)) === 'acknowledged' || undefined;
    }, 'the last message to be taken');
    const own = this.#subscribers.filter((subscriber) => subscriber.model === model);
    const end = await eventually(() => model.offsetOf(last), 'the last message');
    await eventually(() => own.every((subscriber) => subscriber.has(end)) || undefined, 'all to have all');
  }

  /** At rest the model is exact: the oldest position that can be recovered, and the one before it. */
  async #edges(): Promise<void> {
    const model = this.#short;
    const { epoch, offset } = model.position;
    const edges = [
      { since: { epoch, offset }, wanted: true },
      { since: { epoch, offset: offset - sizes.short }, wanted: true },
      { since: { epoch, offset: offset - sizes.short - 1 }, wanted: false },
      { since: { epoch, offset: offset + 1 }, wanted: false },
      { since: { epoch: 'unknown', offset }, wanted: false },
    ];
    for (const { since, wanted } of edges) {
      const recovered = await visit(this.#soak, model, since);
      if (recovered !== wanted)
        this.#soak.faults.add(`recovered ${recovered} at ${JSON.stringify(since)} of ${offset}`);
    }
  }

  async #all(what: (subscriber: Subscriber) => boolean, name: string): Promise<void> {
    await eventually(() => this.#subscribers.every(what) || undefined, name);
  }

  #summary(): string {
    const { faults, troubled, closes } = this.#soak;
    const models = [this.#long, this.#short];
    const total = (of: (model: ChannelModel) => number) => models.reduce((sum, model) => sum + of(model), 0);
    const returns = this.#subscribers.reduce((sum, subscriber) => sum + subscriber.returns, 0);
    const counted = (entries: Iterable<readonly [string | number, number]>) =>
      Array.from(entries, ([what, count]) => `${count} ${what}`).join(', ');
    return (
      `${total(({ publications }) => publications)} publications, ${total(({ acknowledgements }) => acknowledgements)} of them acknowledged over HTTP, ${returns} returns of subscribers, ` +
      `${total(({ resumes }) => resumes.recovered)} recovered, ${total(({ resumes }) => resumes.refused)} not, ` +
      `${faults.count} faults\n` +
      `troubles: ${counted(Object.entries(troubled.counts))}\n` +
      `close codes (0: not let in): ${counted([...closes].map(([code, count]) => [`× ${code}`, count]))}\n`
    );
  }
}
