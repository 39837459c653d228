/** Counters of the supervisor since the start: plain numbers, read by the metrics. */
export class SupervisorStats {
  /** replaced workers, by reason */
  readonly restarts = { crash: 0, hang: 0, memory: 0, reload: 0 };
  /** replaced brokers, by reason */
  readonly brokerRestarts = { crash: 0, hang: 0 };
  /** connections that draining workers dropped */
  drainForced = 0;
  /** errors that the primary survived, by reason */
  readonly errors = { uncaught_exception: 0, unhandled_rejection: 0, invalid_message: 0 };
  /** 1; 0 after a refused reload */
  lastReloadSuccessful = 1;
  /** Unix time of the start, or of the last successful reload */
  lastReloadSuccessSeconds = Date.now() / 1000;
}
