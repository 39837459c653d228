/** What has happened to the workers since the start: plain numbers, read by the metrics. */
export class SupervisorStats {
  /** workers that were replaced, by the reason */
  readonly restarts = { crash: 0, hang: 0, memory: 0, reload: 0 };
  /** connections that draining workers closed, and those that they had to drop */
  drainClosed = 0;
  drainForced = 0;
  /** errors of the primary that cost nobody anything, by the reason */
  readonly errors = { uncaught_exception: 0, unhandled_rejection: 0, invalid_message: 0 };
  /** 1, or 0 after a reload that was refused */
  lastReloadSuccessful = 1;
  /** Unix time of the start, then of the last reload that took over */
  lastReloadSuccessSeconds = Date.now() / 1000;
}
