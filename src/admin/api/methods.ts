/** The table of methods of Centrifugo's server API. */
import type { Method } from './method.ts';
import { broadcast } from './methods/broadcast.ts';
import { channels } from './methods/channels.ts';
import { disconnect } from './methods/disconnect.ts';
import { historyRemove } from './methods/history-remove.ts';
import { history } from './methods/history.ts';
import { info } from './methods/info.ts';
import { presenceStats } from './methods/presence-stats.ts';
import { presence } from './methods/presence.ts';
import { publish } from './methods/publish.ts';
import { refresh } from './methods/refresh.ts';
import { subscribe } from './methods/subscribe.ts';
import { unsubscribe } from './methods/unsubscribe.ts';

export const methods: readonly Method[] = [
  publish,
  broadcast,
  subscribe,
  unsubscribe,
  disconnect,
  refresh,
  presence,
  presenceStats,
  history,
  historyRemove,
  channels,
  info,
];

const byName = new Map(methods.map((method) => [method.name, method]));

export function methodOf(name: string): Method | undefined {
  return byName.get(name);
}

/** Methods that clients know and the hub does not have. */
export const unavailableMethods: readonly string[] = ['rpc'];
