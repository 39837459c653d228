/** The drain orders of a reload and of a stop: pace, close reason, reconnect delay and time budget. */
import type { Settings } from '../config/settings.ts';
import type { DrainOrder } from '../ipc/messages.ts';

/** Beyond the spread and the close timeout: unsent bytes, links, the exit (worker/graceful-shutdown.ts), a busy machine. */
const marginMs = 4_500;
/** Time for the broker, which ends behind the workers, to write its files out. */
export const brokerStopMs = 3_000;

type DrainSettings = Pick<Settings, 'drainSpreadMs' | 'stopSpreadMs' | 'closeTimeoutMs'>;

/** Clients may reconnect soon: new workers already serve, and the closes are spread. */
export function reloadOrder({ drainSpreadMs, closeTimeoutMs }: DrainSettings): DrainOrder {
  const reconnect = { minMs: 100, maxMs: 1_000 };
  return order('restarting', drainSpreadMs, closeTimeoutMs, reconnect);
}

/** Clients must wait longer: the next hub needs time to start, and then all of them reconnect. */
export function stopOrder({ stopSpreadMs, closeTimeoutMs }: DrainSettings): DrainOrder {
  const reconnect = { minMs: 1_000, maxMs: 10_000 };
  return order('going_away', stopSpreadMs, closeTimeoutMs, reconnect);
}

/** Time that a process manager must allow for a stop before it kills the hub. */
export function stopBudgetMs(settings: DrainSettings): number {
  return stopOrder(settings).budgetMs + brokerStopMs + 1_000;
}

function order(
  reason: DrainOrder['reason'],
  spreadMs: number,
  closeTimeoutMs: number,
  reconnect: DrainOrder['reconnect'],
): DrainOrder {
  return { reason, spreadMs, closeTimeoutMs, budgetMs: spreadMs + closeTimeoutMs + marginMs, reconnect };
}
