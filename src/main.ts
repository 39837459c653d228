/** The file that every process of the hub runs: the primary calls `startHub`, a forked worker or broker runs itself. */
import cluster from 'node:cluster';
import type { Settings } from './config/settings.ts';

/**
 * Runs the hub in this process; resolves when a signal has ended it.
 * @param read reads the settings again, for a reload
 */
export async function startHub(settings: Settings, read: () => Settings): Promise<void> {
  const { runPrimary } = await import('./primary/primary.ts');
  await runPrimary(settings, read, import.meta.filename);
}

if (cluster.isWorker) {
  const { runWorker } = await import('./worker/worker.ts');
  runWorker();
} else if (process.argv[1] === import.meta.filename && process.argv[2] === 'broker') {
  const { runBroker } = await import('./broker/broker.ts');
  runBroker();
}
