/** What draining workers are told on a reload and on a stop, and how long they may take for it. */
import type { Settings } from '../config/settings.ts';
import type { DrainOrder } from '../ipc/messages.ts';

/** Beyond the spread and the close timeout: unsent bytes, links, the exit (worker/leave.ts), a busy machine. */
const marginMs = 4_500;

type DrainSettings = Pick<Settings, 'drainSpreadMs' | 'stopSpreadMs' | 'closeTimeoutMs'>;

/** The successors serve already, and the closes themselves are spread: clients may come back soon. */
export function reloadOrder({ drainSpreadMs, closeTimeoutMs }: DrainSettings): DrainOrder {
  const reconnect = { minMs: 100, maxMs: 1_000 };
  return order('restarting', drainSpreadMs, closeTimeoutMs, reconnect);
}

/** Whoever comes next needs a moment to start, and then everybody comes. */
export function stopOrder({ stopSpreadMs, closeTimeoutMs }: DrainSettings): DrainOrder {
  const reconnect = { minMs: 1_000, maxMs: 10_000 };
  return order('going_away', stopSpreadMs, closeTimeoutMs, reconnect);
}

/** What a process manager must give a stop before it kills. */
export function stopBudgetMs(settings: DrainSettings): number {
  return stopOrder(settings).budgetMs + 1_000;
}

function order(
  reason: DrainOrder['reason'],
  spreadMs: number,
  closeTimeoutMs: number,
  reconnect: DrainOrder['reconnect'],
): DrainOrder {
  return { reason, spreadMs, closeTimeoutMs, budgetMs: spreadMs + closeTimeoutMs + marginMs, reconnect };
}
