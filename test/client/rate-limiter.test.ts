/** What one client may say, on a clock of the test's own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  RateLimiter,
  invalidWindowMs,
  sustainedMs,
  type RateLimited,
} from '../../src/client/rate-limiter.ts';
import { Counters } from '../../src/metrics/counters.ts';

const limits = {
  messageRate: 10,
  messageBurst: 20,
  byteRate: 1_000,
  maxPayload: 500,
  invalidMessageLimit: 3,
};

class Fake implements RateLimited {
  messageBucket = 0;
  byteBucket = 0;
  limitedSince = 0;
  limitedAt = 0;
  invalidCount = 0;
  invalidSince = 0;
  readonly sent: string[] = [];
  closed: string | undefined;
  error(code: string): void {
    this.sent.push(code);
  }
  close(reason: string): void {
    this.closed ??= reason;
  }
}

/** A clock whose tick is behind. */
function clockAt(time: number) {
  return {
    now: time,
    real: time,
    refresh() {
      return (this.now = this.real);
    },
  };
}

describe('RateLimiter', () => {
  it('refuses messages above the rate, and sends an error for each', () => {
    const clock = clockAt(1e6);
    const counters = new Counters();
    const inbound = new RateLimiter(limits, clock, counters);
    const speaker = new Fake();
    const admitted = Array.from({ length: 25 }, () => inbound.allow(speaker, 1)).filter(Boolean).length;
    assert.equal(admitted, 20);
    assert.equal(speaker.sent.length, 5);
    assert.equal(speaker.sent[0], 'rate_limited');
    assert.equal(counters.dropped.rate_limited, 5);
  });

  it('reads the real clock before it refuses', () => {
    const clock = clockAt(1e6);
    const inbound = new RateLimiter(limits, clock, new Counters());
    const speaker = new Fake();
    for (let i = 0; i < 20; i += 1) assert.ok(inbound.allow(speaker, 1));
    clock.real += 100;
    assert.ok(inbound.allow(speaker, 1));
    assert.ok(!inbound.allow(speaker, 1));
  });

  it('limits bytes too, and a full bucket accepts one message of maxPayload', () => {
    const inbound = new RateLimiter({ ...limits, byteRate: 100 }, clockAt(1e6), new Counters());
    assert.ok(inbound.allow(new Fake(), 500));
    const speaker = new Fake();
    assert.ok(inbound.allow(speaker, 400));
    assert.ok(!inbound.allow(speaker, 400));
  });

  it('closes a client above the rate for 5 s, and keeps one with pauses', () => {
    const clock = clockAt(1e6);
    const inbound = new RateLimiter(limits, clock, new Counters());
    const flooder = new Fake();
    const bursty = new Fake();
    for (let time = 0; time <= sustainedMs; time += 100) {
      for (let i = 0; i < 30; i += 1) inbound.allow(flooder, 1);
      if (time % 2_500 === 0) for (let i = 0; i < 30; i += 1) inbound.allow(bursty, 1);
      if (time < sustainedMs) assert.equal(flooder.closed, undefined);
      clock.real += 100;
      clock.refresh();
    }
    assert.equal(flooder.closed, 'rate_limited');
    assert.equal(bursty.closed, undefined);
  });

  it('closes a client at the limit of invalid messages within the window', () => {
    const clock = clockAt(1e6);
    const inbound = new RateLimiter(limits, clock, new Counters());
    const speaker = new Fake();
    for (let i = 0; i < 2; i += 1) inbound.invalid(speaker);
    clock.now += invalidWindowMs;
    for (let i = 0; i < 2; i += 1) inbound.invalid(speaker);
    assert.equal(speaker.closed, undefined);
    inbound.invalid(speaker);
    assert.equal(speaker.closed, 'policy_violation');
  });

  it('has no limit if the setting is 0', () => {
    const none = { ...limits, messageRate: 0, byteRate: 0, invalidMessageLimit: 0 };
    const inbound = new RateLimiter(none, clockAt(1e6), new Counters());
    const speaker = new Fake();
    for (let i = 0; i < 10_000; i += 1) {
      assert.ok(inbound.allow(speaker, 1e6));
      inbound.invalid(speaker);
    }
    assert.equal(speaker.closed, undefined);
  });
});
