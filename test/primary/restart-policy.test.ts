/** The delay before a slot gets its next worker, and the limit of failed starts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { healthyMs, RestartPolicy } from '../../src/primary/restart-policy.ts';

describe('a restart policy', () => {
  it('waits 100 ms, then twice as long for each further death, 10 s at most', () => {
    const policy = new RestartPolicy();
    const delays = Array.from({ length: 9 }, (_, now) => {
      policy.ready(now);
      return policy.died(now + 1);
    });
    assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
  });

  it('resets after a worker that was ready for 30 s, and not a millisecond sooner', () => {
    assert.equal(healthyMs, 30_000);
    const policy = new RestartPolicy();
    const lives = [1, 1, healthyMs - 1, healthyMs, 1];
    let now = 0;
    const delays = lives.map((life) => {
      policy.ready(now);
      now += life;
      return policy.died(now);
    });
    assert.deepEqual(delays, [100, 200, 400, 100, 200]);
  });

  it('does not count the start time of a worker as ready', () => {
    const policy = new RestartPolicy();
    assert.equal(policy.died(healthyMs), 100);
    assert.equal(policy.died(3 * healthyMs), 200);
  });

  it('is hopeless after five starts in a row that failed, and not once one of them succeeds', () => {
    const policy = new RestartPolicy();
    const verdicts = Array.from({ length: 5 }, (_, now) => {
      policy.died(now);
      return policy.hopeless;
    });
    assert.deepEqual(verdicts, [false, false, false, false, true]);
    policy.ready(6);
    assert.equal(policy.hopeless, false);
    for (let start = 0; start < 10; start += 1) {
      policy.died(7);
      policy.ready(8);
    }
    assert.equal(policy.hopeless, false, 'those that were ready and died do not count');
  });
});
