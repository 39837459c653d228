/** What the supervisor counts and holds of the workers' lives, as plain numbers that the metrics read. */
export class Lifecycle {
  /** workers that were replaced, by what for */
  readonly restarts = { crash: 0, hang: 0, memory: 0, reload: 0 };
  /** the settings that were last read were good */
  reloadSuccessful = true;
  /** when good settings were last read, Unix time in seconds */
  reloadedAt = Date.now() / 1000;
}
