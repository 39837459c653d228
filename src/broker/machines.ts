/**
 * Questions between machines: the admin actions that concern all of them. A question goes to all other machines; each sends its
 * answer to the one that asked. A machine that holds a lease and does not answer in time is named.
 */
import { z } from 'zod';
import type { SharedEngine } from '../engine/engine.ts';
import {
  machineAnswer,
  machinesAsk,
  type MachineAnswer,
  type MachinesAnswer,
  type MachinesAsk,
} from '../ipc/broker-messages.ts';

const message = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ask'), from: z.string(), id: z.number(), ask: machinesAsk }),
  z.object({ kind: z.literal('answer'), from: z.string(), id: z.number(), answer: machineAnswer }),
]);

type Message = z.infer<typeof message>;

interface Question {
  readonly answers: Map<string, MachineAnswer>;
  /** machines that must answer; null: not known yet */
  expected: readonly string[] | null;
  readonly done: () => void;
}

export interface MachinesOptions {
  engine: Pick<SharedEngine, 'broadcast' | 'send'>;
  /** id of this machine */
  machine: string;
  /** Another machine asks; `answer` must follow with this number. */
  asked: (id: number, ask: MachinesAsk) => void;
}

export class Machines {
  readonly #options: MachinesOptions;
  readonly #questions = new Map<number, Question>();
  /** questions of others that are not answered */
  readonly #asked = new Map<number, { readonly machine: string; readonly id: number }>();
  #lastId = 0;

  constructor(options: MachinesOptions) {
    this.#options = options;
  }

  /** Asks all other machines. */
  async ask(ask: MachinesAsk): Promise<MachinesAnswer> {
    const { engine, machine } = this.#options;
    const id = ++this.#lastId;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const question: Question = {
      answers: new Map(),
      expected: null,
      done: () => {
        resolve(true);
      },
    };
    this.#questions.set(id, question);
    const deadline = setTimeout(resolve, ask.timeoutMs, true);
    engine.broadcast(format({ kind: 'ask', from: machine, id, ask })).then(
      (machines) => {
        question.expected = machines;
        this.#check(question);
      },
      () => {
        resolve(false);
      },
    );
    const isReached = await promise;
    clearTimeout(deadline);
    this.#questions.delete(id);
    const { answers, expected } = question;
    return {
      isReached: isReached && expected !== null,
      answers: Array.from(answers, ([from, answer]) => ({ machine: from, answer })),
      missing: (expected ?? []).filter((one) => !answers.has(one)),
    };
  }

  /** Takes a message of another machine. */
  received(text: string): void {
    const parsed = parse(text);
    if (parsed?.kind === 'ask') {
      const id = ++this.#lastId;
      this.#asked.set(id, { machine: parsed.from, id: parsed.id });
      setTimeout(() => this.#asked.delete(id), parsed.ask.timeoutMs);
      this.#options.asked(id, parsed.ask);
    } else if (parsed?.kind === 'answer') {
      const question = this.#questions.get(parsed.id);
      question?.answers.set(parsed.from, parsed.answer);
      if (question) this.#check(question);
    }
  }

  /** Answers a question of another machine. */
  answer(id: number, answer: MachineAnswer): void {
    const question = this.#asked.get(id);
    if (!question) return; // too late
    this.#asked.delete(id);
    const { engine, machine } = this.#options;
    engine.send(question.machine, format({ kind: 'answer', from: machine, id: question.id, answer }));
  }

  #check({ expected, answers, done }: Question): void {
    if (expected?.every((machine) => answers.has(machine)) === true) done();
  }
}

function format(value: Message): string {
  return JSON.stringify(value);
}

/** null: it is malformed, or of another version. */
function parse(text: string): Message | null {
  try {
    return message.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
