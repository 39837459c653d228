import { existsSync } from 'node:fs';

/** Settings file, read again by each reload; without it settings come only from the environment of `pm2 start`. */
const config = `${import.meta.dirname}/wshub.json`;

/**
 * PM2: `pm2 start ecosystem.config.js`, reload with `pm2 sendSignal SIGHUP wshub` (not `pm2 reload`, which stops
 * before it starts).
 */
export const apps = [
  {
    name: 'wshub',
    cwd: import.meta.dirname,
    script: 'dist/cli.js',
    args: existsSync(config) ? ['--config', config] : [],
    // The Node that `npm ci` has installed; the machine's own may be older.
    interpreter: `${import.meta.dirname}/node_modules/.bin/node`,
    // One instance in fork mode: the hub is its own cluster.
    exec_mode: 'fork',
    instances: 1,
    // A signal is for the primary alone, which drains its workers.
    treekill: false,
    // `pm2 start` returns once all workers serve.
    wait_ready: true,
    listen_timeout: 30_000,
    // Above the budget of a stop: WSHUB_STOP_SPREAD_MS + WSHUB_CLOSE_TIMEOUT_MS + 8.5 s. Checked by `wshub doctor`.
    kill_timeout: 20_000,
    // PM2's agent stays out of the hub.
    pmx: false,
    exp_backoff_restart_delay: 100,
    // A start that can only fail again, such as in cluster mode.
    stop_exit_codes: [78],
    merge_logs: true,
  },
];
