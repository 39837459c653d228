/**
 * A channel with history, as a model that only knows what clients and publishers were told: which publication has which
 * position, and what a returning client must be answered. Everything that contradicts it is a fault. Knows no socket.
 */
import type { Position } from '../../../src/channel/position.ts';

/** What every publication of the soak is. */
export interface Numbered {
  /** names the publisher and its connection */
  readonly by: string;
  /** counts up from 1 for each `by` */
  readonly n: number;
}

/** What `connected` says. */
export interface Answer extends Position {
  readonly recovered?: boolean;
}

/** The first faults, in words, and how many there are. */
export class Faults {
  count = 0;
  readonly first: string[] = [];
  /** what was last done to the hub */
  context = 'the start';

  add(what: string): void {
    this.count += 1;
    if (this.first.length < 20)
      this.first.push(`${(performance.now() / 1_000).toFixed(1)} s, after ${this.context}: ${what}`);
  }
}

export class ChannelModel {
  readonly name: string;
  readonly historySize: number;
  readonly #faults: Faults;
  /** the one epoch; `''`: not known yet */
  #epoch = '';
  /** the highest offset that anybody was told */
  top = 0;
  /** publications by offset, and the other way round */
  readonly #keys = new Map<number, string>();
  readonly #offsets = new Map<string, number>();
  /** offsets that a client has received */
  readonly #received = new Set<number>();
  readonly #refused = new Set<string>();
  /** acknowledged without a position */
  readonly #unplaced: string[] = [];
  acknowledgements = 0;
  /** messages of each publisher that were answered with an error */
  readonly #errors = new Map<string, number>();
  /** positions of clients that were closed with `insufficient_state` */
  readonly #gaps: number[] = [];
  resumes = { recovered: 0, refused: 0 };

  constructor(name: string, historySize: number, faults: Faults) {
    this.name = name;
    this.historySize = historySize;
    this.#faults = faults;
  }

  get publications(): number {
    return this.#keys.size;
  }

  get position(): Position {
    return { epoch: this.#epoch, offset: this.top };
  }

  /** A publication was acknowledged; null: its position is not known any longer. */
  acknowledged(position: Position | null, message: Numbered): void {
    if (position) this.#place(position, message);
    else this.#unplaced.push(keyOf(message));
    this.acknowledgements += 1;
  }

  /** A client has received a publication. */
  received(position: Position, message: Numbered): void {
    this.#place(position, message);
    this.#received.add(position.offset);
  }

  /** A publication was refused: nobody may receive it. */
  refused(message: Numbered): void {
    this.#refused.add(keyOf(message));
  }

  /** A client with this position was closed because history cannot fill a gap. */
  gapTold({ offset }: Position): void {
    this.#gaps.push(offset);
  }

  /** A client was told that one of its messages was not accepted. */
  notAccepted(by: string): void {
    this.#errors.set(by, (this.#errors.get(by) ?? 0) + 1);
  }

  offsetOf(message: Numbered): number | undefined {
    return this.#offsets.get(keyOf(message));
  }

  /**
   * Judges the answer to a client.
   * @param since null: the client came without a position
   * @param knownTop `top` when the client asked
   */
  answered(since: Position | null, knownTop: number, answer: Answer): void {
    const { recovered, ...position } = answer;
    this.#isOfEpoch(position, 'connected');
    this.top = Math.max(this.top, position.offset);
    if (since === null) {
      if (recovered !== undefined) this.#fault('recovered, though nothing was asked for');
      return;
    }
    const asked = `since ${since.epoch}:${since.offset}, top ${knownTop} to ${this.top}`;
    if (recovered === true) {
      this.resumes.recovered += 1;
      if (position.epoch !== since.epoch || position.offset !== since.offset)
        this.#fault(`recovered from ${position.offset}, ${asked}`);
      // What is kept only moves on, so that what was gone before the question cannot have been recovered.
      if (knownTop - since.offset > this.historySize) this.#fault(`recovered what is not kept, ${asked}`);
    } else {
      this.resumes.refused += 1;
      if (recovered !== false) this.#fault(`recovered is missing, ${asked}`);
      if (position.offset < knownTop) this.#fault(`told the top ${position.offset}, ${asked}`);
      if (this.#mustKeep(since, position)) this.#fault(`not recovered to ${position.offset}, ${asked}`);
    }
  }

  /**
   * Judges all that was told, once everything is at rest.
   * @param isWhole some client has received every publication: none may be missing
   */
  judge(isWhole: boolean): void {
    for (const key of isWhole ? this.#unplaced : [])
      if (!this.#offsets.has(key)) this.#fault(`${key} was acknowledged and is missing`);
    for (const offset of this.#gaps)
      if (this.top - offset <= this.historySize) this.#fault(`a gap was told after ${offset}, all is kept`);
    const last = new Map<string, { n: number; count: number }>();
    for (let offset = 1; offset <= this.top; offset += 1) {
      if (isWhole && !this.#received.has(offset)) this.#fault(`nobody has received ${offset}`);
      const key = this.#keys.get(offset);
      if (key === undefined) continue;
      if (this.#refused.has(key)) this.#fault(`${key} was refused and stored at ${offset}`);
      const { by, n } = messageOf(key);
      const before = last.get(by) ?? { n: 0, count: 0 };
      if (n < before.n && by.startsWith('socket'))
        this.#fault(`${key} is at ${offset}, behind number ${before.n}`);
      last.set(by, { n, count: before.count + 1 });
    }
    for (const [by, { n, count }] of isWhole ? last : []) {
      const missing = n - count - (this.#errors.get(by) ?? 0);
      if (missing > 0 && by.startsWith('socket')) this.#fault(`${missing} of ${by} are missing before ${n}`);
    }
  }

  #mustKeep(since: Position, top: Position): boolean {
    const missed = top.offset - since.offset;
    return since.epoch === top.epoch && missed >= 0 && missed <= this.historySize;
  }

  #place(position: Position, message: Numbered): void {
    const { offset } = position;
    const key = keyOf(message);
    this.#isOfEpoch(position, key);
    this.top = Math.max(this.top, offset);
    const other = this.#keys.get(offset);
    if (other !== undefined && other !== key) this.#fault(`${offset} is ${other} and ${key}`);
    const before = this.#offsets.get(key);
    if (before !== undefined && before !== offset) this.#fault(`${key} is at ${before} and at ${offset}`);
    this.#keys.set(offset, key);
    this.#offsets.set(key, offset);
  }

  /** Nothing in the soak ends an epoch. */
  #isOfEpoch({ epoch }: Position, what: string): void {
    if (this.#epoch === '') this.#epoch = epoch;
    if (epoch !== this.#epoch) this.#fault(`epoch ${epoch} instead of ${this.#epoch}: ${what}`);
  }

  #fault(what: string): void {
    this.#faults.add(`${this.name}: ${what}`);
  }
}

function keyOf({ by, n }: Numbered): string {
  return `${by} #${n}`;
}

function messageOf(key: string): Numbered {
  const at = key.lastIndexOf(' #');
  return { by: key.slice(0, at), n: Number(key.slice(at + 2)) };
}
