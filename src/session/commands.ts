/** The commands of a session, but for `connect`, which session.ts executes itself. */
import type { Command, CommandKind, Requests } from '../protocol/centrifugal/messages.ts';
import { history } from './commands/history.ts';
import { presence, presenceStats } from './commands/presence.ts';
import { publish } from './commands/publish.ts';
import { refresh, subRefresh } from './commands/refresh.ts';
import { rpc, send } from './commands/rpc.ts';
import { subscribe } from './commands/subscribe.ts';
import { unsubscribe } from './commands/unsubscribe.ts';
import type { Execute, SessionContext } from './context.ts';
import { CommandFailure } from './command-failure.ts';

const commands: { readonly [Kind in Exclude<CommandKind, 'connect'>]: Execute<Requests[Kind]> } = {
  ping: () => {
    throw CommandFailure.error('notAvailable'); // pings go the other way
  },
  subscribe,
  unsubscribe,
  publish,
  presence,
  presence_stats: presenceStats,
  history,
  rpc,
  send,
  refresh,
  sub_refresh: subRefresh,
};

/** Executes a command. @throws {unknown} also as a rejection: see `SessionContext.fail` */
export function execute(
  session: SessionContext,
  { kind, id, request }: Exclude<Command, { kind: 'connect' }>,
): Promise<void> | undefined {
  return (commands[kind] as Execute<unknown>)(session, id, request);
}
