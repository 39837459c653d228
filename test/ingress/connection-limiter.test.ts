/** Admission and refusal by the connection limiter. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AddressQuota } from '../../src/client/client.ts';
import { ConnectionLimiter, type ConnectionLimits } from '../../src/ingress/connection-limiter.ts';
import { addressKey } from '../../src/platform/address-key.ts';
import { HubError } from '../../src/platform/errors.ts';

const open: ConnectionLimits = {
  maxConnections: 1_000,
  maxConnectionsPerAddress: 0,
  connectRate: 0,
  connectRatePerAddress: 0,
};

const code = (expected: string) => (error: unknown) => error instanceof HubError && error.code === expected;

describe('ConnectionLimiter', () => {
  it('refuses a connection with the code of the reached limit', () => {
    const worker = new ConnectionLimiter({ ...open, maxConnections: 1 });
    worker.enter('a', 0);
    assert.throws(() => worker.enter('b', 0), code('overloaded'));
    const address = new ConnectionLimiter({ ...open, maxConnectionsPerAddress: 1 });
    address.enter('a', 0);
    assert.throws(() => address.enter('a', 0), code('too_many_connections'));
    address.enter('b', 0);
    const rate = new ConnectionLimiter({ ...open, connectRate: 1 });
    for (let i = 0; i < 5; i += 1) rate.enter(String(i), 0);
    assert.throws(() => rate.enter('x', 0), code('too_many_connects'));
    rate.enter('x', 1_000);
    const own = new ConnectionLimiter({ ...open, connectRatePerAddress: 1 });
    for (let i = 0; i < 5; i += 1) own.enter('a', 0);
    assert.throws(() => own.enter('a', 0), code('rate_limited'));
    own.enter('b', 0);
  });

  it('keeps its counts, and finally removes every address', () => {
    const step = fc.oneof(
      fc.record({ enter: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ leave: fc.nat() }),
      fc.record({ wait: fc.nat(10_000) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const limits = { ...open, maxConnections: 7, maxConnectionsPerAddress: 3, connectRatePerAddress: 1 };
        const admission = new ConnectionLimiter(limits);
        const inside: AddressQuota[] = [];
        let now = 0;
        for (const item of steps) {
          if ('enter' in item) {
            try {
              inside.push(admission.enter(item.enter, now));
            } catch (error) {
              assert.ok(error instanceof HubError);
            }
          } else if ('leave' in item) {
            const [source] = inside.splice(item.leave % (inside.length || 1), 1);
            if (source) admission.leave(source);
          } else {
            now += item.wait;
            admission.sweep(now);
          }
          assert.ok(inside.length <= 7);
          for (const key of ['a', 'b', 'c']) {
            assert.ok(inside.filter((source) => source.key === key).length <= 3);
          }
          for (const source of inside) {
            assert.equal(source.connections, inside.filter(({ key }) => key === source.key).length);
          }
        }
        for (const source of inside) admission.leave(source);
        admission.sweep(now + 100_000);
        assert.equal(admission.size, 0);
      }),
    );
  });
});

describe('addressKey', () => {
  it('maps all addresses of a /64 prefix to one key', () => {
    const cases: [address: string, key: string][] = [
      ['203.0.113.9', '203.0.113.9'],
      ['::ffff:203.0.113.9', '203.0.113.9'],
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
      ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
      ['2001:db8::1', '2001:db8:0:0::/64'],
      ['::1', '0:0:0:0::/64'],
      ['fe80::1%eth0', 'fe80:0:0:0::/64'],
      ['', ''],
    ];
    for (const [address, key] of cases) assert.equal(addressKey(address), key);
  });
});
