/** `rpc` and `send`: calls of the user's `methods`. */
import type { Json } from '../../protocol/centrifugal/messages.ts';
import type { SessionContext } from '../context.ts';
import { CommandFailure } from '../command-failure.ts';

export function rpc(
  session: SessionContext,
  id: number,
  { method, data }: { readonly method: string; readonly data: Json | null },
): undefined {
  const { dispatcher } = session.parts;
  if (!dispatcher.hasMethods) throw CommandFailure.error('notAvailable');
  if (!dispatcher.hasMethod(method)) throw CommandFailure.error('methodNotFound');
  if (data !== null && data.value === undefined)
    throw CommandFailure.error('badRequest', 'data must be JSON');
  dispatcher.call(session.client, method, data?.value, {
    result: (json) => {
      session.reply(id, 'rpc', json === null ? {} : { data: json });
    },
    failed: (error) => {
      session.fail('rpc', id, error);
    },
  });
}

/** Calls the method that `type` of the data names. There is no reply. Without such a method the client is closed. */
export function send(
  session: SessionContext,
  _id: number,
  { data }: { readonly data: Json | null },
): undefined {
  const { dispatcher } = session.parts;
  const value = data?.value;
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (typeof type !== 'string' || !dispatcher.hasMethod(type))
    throw CommandFailure.disconnect('notAvailable');
  dispatcher.call(session.client, type, value, { result: () => undefined, failed: () => undefined });
}
