/** The table of admin actions, served on every worker's port and on the ops port. */
import type { Action, Call } from './action.ts';
import { closeConnection } from './actions/close-connection.ts';
import { closeUser } from './actions/close-user.ts';
import { deleteChannel } from './actions/delete-channel.ts';
import { disconnect } from './actions/disconnect.ts';
import { killConnection } from './actions/kill-connection.ts';
import { listChannels } from './actions/list-channels.ts';
import { presence } from './actions/presence.ts';
import { presenceStats } from './actions/presence-stats.ts';
import { publish } from './actions/publish.ts';
import { publishBatch } from './actions/publish-batch.ts';
import { readHistory } from './actions/read-history.ts';
import { readPublications } from './actions/read-publications.ts';
import { refresh } from './actions/refresh.ts';
import { reload } from './actions/reload.ts';
import { removeHistory } from './actions/remove-history.ts';
import { showChannel } from './actions/show-channel.ts';
import { showConnection } from './actions/show-connection.ts';
import { state } from './actions/state.ts';
import { subscribe } from './actions/subscribe.ts';
import { unsubscribe } from './actions/unsubscribe.ts';

const table = [
  listChannels,
  showChannel,
  deleteChannel,
  presence,
  presenceStats,
  publish,
  publishBatch,
  readHistory,
  readPublications,
  removeHistory,
  showConnection,
  closeConnection,
  killConnection,
  closeUser,
  disconnect,
  subscribe,
  unsubscribe,
  refresh,
  state,
  reload,
] as const;

/** Action by name, with the type of its answer. */
export type Actions = {
  [A in (typeof table)[number] as A['name']]: A extends Action<string, infer Answer>
    ? { answer: Answer }
    : never;
};

export const actions: readonly Action[] = table;
export const actionNames: readonly string[] = actions.map(({ name }) => name);

const byName = new Map(actions.map((action) => [action.name, action]));

/** Whether a message from another process names an action and has a valid input for it. */
export function isCall(name: string, input: unknown): boolean {
  return parseCall(name, input) !== null;
}

/** Returns the call of a message from another process; null: unknown action or invalid input. */
export function parseCall(name: string, input: unknown): Call | null {
  return byName.get(name)?.parse(input) ?? null;
}
