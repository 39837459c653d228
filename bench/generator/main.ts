// The process of one generator: does what its parent asks over IPC, one answer to each request, and ends with it.
// Arguments: the server's port, the name of its protocol.
import type { ProtocolName } from '../protocols/protocols.ts';
import { Generator } from './generator.ts';

export type CallName = Exclude<keyof Generator, symbol>;

export interface Request {
  readonly call: CallName;
  readonly args: unknown[];
}

export type Answer = { readonly result: unknown } | { readonly failed: string };

async function answer({ call, args }: Request): Promise<Answer> {
  try {
    const method = generator[call].bind(generator) as (...args: unknown[]) => unknown;
    return { result: await method(...args) };
  } catch (error) {
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

const [port, protocol] = process.argv.slice(2);
const generator = new Generator(Number(port), protocol as ProtocolName);

process.on('message', (request: Request) => {
  void answer(request).then((message) => process.send?.(message));
});
process.on('disconnect', () => {
  process.exit();
});
