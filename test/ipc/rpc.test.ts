/** Calls over a channel of messages: how each can end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DeadlineError, GoneError, RpcClient } from '../../src/ipc/rpc.ts';

/** A call of `worker w1` and the number under which it was sent. */
function called(calls: RpcClient, callee = 'worker w1', timeoutMs = 60_000) {
  let id = 0;
  const send = (given: number) => {
    id = given;
    return true;
  };
  const result = calls.call({ callee, name: 'add', timeoutMs, send });
  return { id, result };
}

describe('a call', () => {
  it('resolves with the answer of its callee, and ignores a second one', async () => {
    const calls = new RpcClient();
    const { id, result } = called(calls);
    calls.answer('worker w1', id, 7);
    calls.answer('worker w1', id, 8);
    assert.equal(await result, 7);
    assert.equal(calls.size, 0);
  });

  it('ignores the answer of another callee', async () => {
    const calls = new RpcClient();
    const { id, result } = called(calls);
    calls.answer('worker w2', id, 'forged');
    calls.fail('worker w2', id, new Error('forged'));
    assert.equal(calls.size, 1);
    calls.answer('worker w1', id, 'true');
    assert.equal(await result, 'true');
  });

  it('accepts its answer before the promise resolves', () => {
    const calls = new RpcClient();
    const taken: unknown[] = [];
    const take = (value: unknown) => void taken.push(value);
    void calls.call({ callee: 'worker w1', name: 'collect', timeoutMs: 60_000, send: () => true, take });
    calls.answer('worker w1', 1, 'counts');
    assert.deepEqual(taken, ['counts']);
  });

  it('rejects with the error that its callee answers', async () => {
    const calls = new RpcClient();
    const { id, result } = called(calls);
    calls.fail('worker w1', id, new TypeError('no such luck'));
    await assert.rejects(result, TypeError);
  });

  it('rejects at its deadline', async () => {
    const calls = new RpcClient();
    const { result } = called(calls, 'worker w1', 1);
    await assert.rejects(result, new DeadlineError('worker w1 did not answer "add" within 1 ms'));
    assert.equal(calls.size, 0);
  });

  it('rejects at once, with all others of its callee, when the callee ends', async () => {
    const calls = new RpcClient();
    const [one, two, other] = [called(calls), called(calls), called(calls, 'worker w2')];
    calls.gone('worker w1');
    await assert.rejects(one.result, new GoneError('worker w1 is gone'));
    await assert.rejects(two.result, GoneError);
    assert.equal(calls.size, 1);
    calls.answer('worker w2', other.id, 'there');
    assert.equal(await other.result, 'there');
  });

  it('rejects for an unknown callee, and throws the error of a failed send', async () => {
    const calls = new RpcClient();
    const call = { callee: 'worker w9', name: 'add', timeoutMs: 60_000 };
    await assert.rejects(calls.call({ ...call, send: () => false }), new GoneError('no worker w9'));
    const send = () => {
      throw new RangeError('too big');
    };
    assert.throws(() => calls.call({ ...call, send }), RangeError);
    assert.equal(calls.size, 0);
  });
});
