/** `wshub start`: runs the hub until a signal ends it. */
import cluster from 'node:cluster';
import type { Settings } from '../config/settings.ts';
import { OperatorError } from '../platform/errors.ts';

/** EX_CONFIG (sysexits.h): a restart would fail again. ecosystem.config.js tells PM2 not to try. */
const badConfiguration = 78;

/**
 * Resolves when the hub has ended.
 * @param load reads the settings, now and for each reload
 */
export async function start(load: () => Settings): Promise<void> {
  refuseForeignCluster();
  const settings = load();
  const { startHub } = await import('../main.ts'); // in a worker of a cluster this would run a hub's worker
  await startHub(settings, load);
}

/**
 * PM2's cluster mode runs this program as a worker of its own cluster, in which no hub can fork workers.
 * @throws {OperatorError} this process is such a worker
 */
function refuseForeignCluster(): void {
  if (!cluster.isWorker) return;
  throw new OperatorError(
    'the hub is a cluster itself: start it in fork mode (PM2: exec_mode fork, instances 1); WSHUB_WORKERS sets the number of workers',
    { exitCode: badConfiguration },
  );
}
