/**
 * Executes admin actions on all machines that share an engine: the workers of each machine execute their parts, and the machine
 * that was asked merges them, like those of its own workers.
 */
import type { AskedWorker, Call, Execute, PrimaryParts, WorkerPart } from '../admin/action.ts';
import { parseCall } from '../admin/actions.ts';
import type { MachineAnswer, MachinesAsk } from '../ipc/broker-messages.ts';
import { HubError, errors, messageOf, type ErrorCode } from '../platform/errors.ts';
import type { Log } from '../platform/log.ts';
import type { BrokerProcess } from './broker-process.ts';

/** Returns the parts of the workers of this machine. Rejects with a HubError. */
export type AskParts = (call: Call, trace?: string) => Promise<readonly WorkerPart<unknown>[]>;

export interface MachinesOptions {
  own: AskParts;
  primary: PrimaryParts;
  /** id of this machine */
  machine: string;
  /** returns the process that asks the other machines; null: there is none at the moment */
  broker: () => Pick<BrokerProcess, 'askMachines'> | null;
  log: Log;
}

/** An action of one machine needs no other: a publication reaches all of them by itself. */
function concernsAll({ target }: Call): boolean {
  return target === 'all' || typeof target === 'object';
}

export function askMachines({ own, primary, machine, broker }: MachinesOptions): Execute {
  return async (call, trace) => {
    if (!concernsAll(call)) return call.merge(await own(call, trace), primary);
    const [here, others] = await Promise.all([own(call, trace), partsOfOthers(call, broker())]);
    const ownParts = here.map(({ worker, part }) => ({ worker: named(worker, machine), part }));
    if (others === null) return call.merge(ownParts, { ...primary, isPartial: true });
    return call.merge([...ownParts, ...others], primary);
  };
}

/** Answers a question of another machine. */
export function answerMachine({ own, log }: Pick<MachinesOptions, 'own' | 'log'>) {
  return async ({ action, input }: MachinesAsk): Promise<MachineAnswer> => {
    try {
      const call = parseCall(action, input);
      if (!call || !concernsAll(call)) throw new HubError('bad_request', 'the machine runs another version');
      const parts = await own(call).catch((error: unknown) => {
        // A machine without workers has no clients.
        if (error instanceof HubError && error.code === 'unavailable') return [];
        throw error;
      });
      return { parts: parts.map(({ worker, part }) => ({ worker: factsOf(worker), part })) };
    } catch (error) {
      if (!(error instanceof HubError)) log.error({ err: error, action }, 'admin action failed');
      const { code, message } = error instanceof HubError ? error : new HubError('internal');
      return { code, message };
    }
  };
}

/** Null: they cannot be asked, and the action answers without them. */
async function partsOfOthers(
  call: Call,
  broker: Pick<BrokerProcess, 'askMachines'> | null,
): Promise<readonly WorkerPart<unknown>[] | null> {
  const { name: action, input, timeoutMs, mayBePartial } = call;
  const failed = (why: string, cause?: unknown) => new HubError('worker_timeout', why, { cause });
  const answer = await broker?.askMachines({ action, input, timeoutMs }).catch((cause: unknown) => {
    throw failed(`the other machines cannot be asked: ${messageOf(cause)}`, cause);
  });
  if (answer?.isReached !== true && mayBePartial) return null;
  if (answer?.isReached !== true)
    throw failed('the other machines cannot be asked: the engine is not reached');
  if (answer.missing.length > 0) {
    throw failed(`machine ${answer.missing.join(', ')} did not answer within ${timeoutMs} ms`);
  }
  return answer.answers.flatMap(({ machine, answer: one }) => {
    if ('code' in one) throw new HubError(codeOf(one.code), `machine ${machine}: ${one.message}`);
    return one.parts.map(({ worker: { ageMs, ...worker }, part }) => ({
      worker: { ...worker, machine, startedAt: performance.now() - ageMs },
      part: call.parsePart(part),
    }));
  });
}

function codeOf(code: string): ErrorCode {
  return Object.hasOwn(errors, code) ? (code as ErrorCode) : 'internal';
}

function factsOf({ id, slot, generation, pid, state, startedAt }: AskedWorker) {
  return { id, slot, generation, pid, state, ageMs: performance.now() - startedAt };
}

/** A worker with its machine; its fields are read later, by the merge. */
function named({ id, slot, generation, pid, state, startedAt }: AskedWorker, machine: string): AskedWorker {
  return { id, slot, generation, pid, state, startedAt, machine };
}
