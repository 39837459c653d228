// The generator processes of one measurement, called together. Two of them on two cores: one process would be its
// own bottleneck in the heavier workloads, more would only take turns.
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Generator } from './generator/generator.ts';
import type { Answer, CallName, Request } from './generator/main.ts';
import type { ProtocolName } from './protocols/protocols.ts';
import { killTree, owned } from './processes.ts';

const program = join(import.meta.dirname, 'generator/main.ts');
const answerTimeoutMs = 180_000;
const connectionsEach = 15_000; // a process may open 20 000 files
const fewest = 2;

type Arguments<K extends CallName> = Parameters<Generator[K]>;
type Result<K extends CallName> = Awaited<ReturnType<Generator[K]>>;

export class Fleet {
  readonly size: number;
  readonly #children: ChildProcess[];

  constructor(port: number, protocol: ProtocolName, connections: number) {
    this.size = Math.max(fewest, Math.ceil(connections / connectionsEach));
    this.#children = Array.from({ length: this.size }, () => {
      const child = fork(program, [String(port), protocol], { execArgv: [] });
      owned.add(child);
      return child;
    });
  }

  /** Every generator does this, each with its own arguments; one answer each. */
  call<K extends CallName>(call: K, argsOf: (part: number) => Arguments<K>): Promise<Result<K>[]> {
    return Promise.all(this.#children.map((child, part) => ask<K>(child, { call, args: argsOf(part) })));
  }

  /** Only the first generator does this. */
  callOne<K extends CallName>(call: K, ...args: Arguments<K>): Promise<Result<K>> {
    const [first] = this.#children;
    if (!first) throw new Error('the fleet is empty');
    return ask<K>(first, { call, args });
  }

  stop(): void {
    for (const child of this.#children) killTree(child);
  }
}

function ask<K extends CallName>(child: ChildProcess, request: Request): Promise<Result<K>> {
  const { promise, resolve, reject } = Promise.withResolvers<Result<K>>();
  const onExit = (): void => {
    reject(new Error('a generator process ended'));
  };
  const timer = setTimeout(() => {
    reject(new Error(`a generator did not answer ${request.call} within ${answerTimeoutMs / 1e3} s`));
  }, answerTimeoutMs);
  child.once('exit', onExit);
  child.once('message', (answer: Answer) => {
    if ('failed' in answer) reject(new Error(answer.failed));
    else resolve(answer.result as Result<K>);
  });
  child.send(request);
  return promise.finally(() => {
    clearTimeout(timer);
    child.off('exit', onExit);
  });
}
