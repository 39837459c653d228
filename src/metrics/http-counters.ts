/**
 * The HTTP counters of one process: requests by route pattern, admin actions by outcome. Any client can cause every kind of
 * refusal, so each 4xx costs one series instead of a histogram.
 */
import { coarseBuckets, Histogram } from './histogram.ts';

const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

interface Requests {
  readonly method: string;
  /** the pattern, never the path: clients choose paths */
  readonly route: string;
  readonly code: number;
  count: number;
  /** null: refused with 4xx, not timed */
  readonly seconds: Histogram | null;
}

interface ActionOutcome {
  readonly action: string;
  /** `done` or an error code */
  readonly result: string;
  count: number;
}

export class HttpCounters {
  readonly #requests = new Map<string, Requests>();
  readonly #actions = new Map<string, ActionOutcome>();

  /** @param actions names of the admin actions, whose series start at 0 */
  constructor(actions: readonly string[]) {
    for (const action of actions) this.#outcome(action, 'done');
  }

  get requests(): readonly Requests[] {
    return [...this.#requests.values()];
  }

  get actions(): readonly ActionOutcome[] {
    return [...this.#actions.values()];
  }

  /** Creates the series of such requests, starting at 0. */
  expect(method: string, route: string, code: number): void {
    this.#of(method, route, code);
  }

  /** @param route null: no route matched */
  answered(method: string, route: string | null, code: number, seconds: number): void {
    const asked = method === 'HEAD' ? 'GET' : method; // the same routes answer it
    const requests = this.#of(methods.has(asked) ? asked : 'other', route ?? 'none', code);
    requests.count += 1;
    requests.seconds?.observe(seconds);
  }

  acted(action: string, result: string): void {
    this.#outcome(action, result).count += 1;
  }

  #of(method: string, route: string, code: number): Requests {
    const key = `${method} ${route} ${code}`;
    let requests = this.#requests.get(key);
    if (!requests) {
      const refused = code >= 400 && code < 500;
      const seconds = refused ? null : new Histogram(coarseBuckets);
      requests = { method, route, code, count: 0, seconds };
      this.#requests.set(key, requests);
    }
    return requests;
  }

  #outcome(action: string, result: string): ActionOutcome {
    const key = `${action} ${result}`;
    let outcome = this.#actions.get(key);
    if (!outcome) {
      outcome = { action, result, count: 0 };
      this.#actions.set(key, outcome);
    }
    return outcome;
  }
}
