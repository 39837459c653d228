/**
 * The link between workers and a broker process, over a real socket: order, once, resume, whatever is killed. The numbers
 * are those of the cases in test/engine/conformance.ts.
 */
import assert from 'node:assert/strict';
import { createConnection, createServer, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Position } from '../../../src/engine/engine.ts';
import { TestBroker, draft, type TestWorker } from './brokers.ts';

async function startedBroker(t: TestContext, namespace?: Record<string, unknown>): Promise<TestBroker> {
  const broker = new TestBroker(t);
  if (namespace) broker.namespace = namespace;
  await broker.start();
  return broker;
}

/** A worker whose link goes through a pipe that can be stopped: then the broker's frames wait. */
async function workerBehindPipe(
  t: TestContext,
  broker: TestBroker,
): Promise<{ slow: TestWorker; pipe: Socket }> {
  const path = `${broker.path}.pipe`;
  const piped = new Promise<Socket>((resolve) => {
    const server = createServer((socket) => {
      const pipe = createConnection(broker.path);
      socket.pipe(pipe);
      pipe.on('data', (chunk) => socket.write(chunk));
      pipe.on('close', () => socket.destroy());
      socket.on('close', () => pipe.destroy());
      resolve(pipe);
    });
    server.listen(path);
    t.after(() => server.close());
  });
  const around = new TestBroker(t);
  Object.assign(around, { path });
  const slow = around.worker('slow');
  return { slow, pipe: await piped };
}

const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, index) => `${from + index}`);

describe('BrokerLink', () => {
  it('delivers to every subscribed worker in one order, with the number of a local sender', async (t) => {
    const broker = await startedBroker(t);
    const [one, two] = [broker.worker('w1'), broker.worker('w2')];
    const [first, second] = await Promise.all([one.subscribe('a'), two.subscribe('a')]);
    assert.deepEqual(first, second);
    const meta = Buffer.from('{"user":"x"}');
    const trace = Buffer.from('trace');
    for (let index = 1; index <= 100; index++) {
      one.link.publish('a', draft(`one ${index}`, { sender: index, meta, trace }));
      two.link.publish('a', draft(`two ${index}`));
      if (index % 10 === 0) await turn();
    }
    const both = [one, two];
    for (const worker of both) {
      await worker.signal.until(() => worker.received.length === 200, '200 publications');
      assert.deepEqual(
        worker.received.map(({ offset, epoch }) => ({ offset, epoch })),
        numbers(200).map((offset) => ({ offset: first.offset + Number(offset), epoch: first.epoch })),
      );
      for (const name of ['one', 'two']) {
        const own = worker.texts('a').filter((text) => text.startsWith(name));
        assert.deepEqual(
          own,
          numbers(100).map((number) => `${name} ${number}`),
        );
      }
    }
    assert.deepEqual(one.texts('a'), two.texts('a'));
    const senders = (worker: TestWorker) =>
      worker.received.map(({ sender }) => sender).filter((sender) => sender > 0);
    assert.deepEqual(senders(one), numbers(100).map(Number));
    assert.deepEqual(senders(two), []);
    const [sample] = two.received.filter(({ payload }) => payload === 'one 1');
    assert.deepEqual([sample?.meta, sample?.trace.toString(), sample?.readAt], ['{"user":"x"}', 'trace', 1]);
    await one.signal.until(() => one.link.unacknowledged === 0, 'acknowledgements');
  });

  it('forgets a subscriber that no longer waits for the broker, and calls the others', async (t) => {
    const broker = new TestBroker(t);
    const worker = broker.worker('w1');
    const called: string[] = [];
    const withdraw = worker.link.subscribe('a', () => called.push('withdrawn'));
    const subscribed = worker.subscribe('a').then(() => called.push('waits'));
    withdraw();
    await broker.start();
    await subscribed;
    assert.deepEqual(called, ['waits']);
  });

  it('returns the position of a publication, and whether it is a duplicate', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1');
    const { top } = await worker.history('a', null);
    const { epoch } = top;
    assert.deepEqual(await worker.publish('a', '1'), { position: { epoch, offset: 1 }, duplicate: null });
    assert.deepEqual(await worker.publish('a', '2', { key: 'k' }), {
      position: { epoch, offset: 2 },
      duplicate: null,
    });
    assert.deepEqual(await worker.publish('a', '2', { key: 'k' }), {
      position: { epoch, offset: 2 },
      duplicate: 'key',
    });
    await broker.kill();
    await broker.start();
    const other = broker.worker('w2');
    assert.deepEqual(await other.publish('a', '2', { key: 'k' }), {
      position: { epoch, offset: 2 },
      duplicate: 'key',
    });
  });

  it('reads the history, including earlier publications of the same worker', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1');
    const { top } = await worker.history('a', null);
    for (const text of numbers(50)) worker.link.publish('a', draft(text));
    const page = await worker.history('a', top);
    assert.deepEqual([page.complete, page.texts, page.top.offset], [true, numbers(50), 50]);
    assert.deepEqual((await worker.history('a', null, 2)).texts, ['49', '50']);
    assert.equal((await worker.history('a', { ...top, epoch: 'other' })).complete, false);
    const removed = await new Promise((resolve) => {
      worker.link.remove('a', resolve);
    });
    assert.deepEqual(removed, page.top);
    assert.deepEqual(await worker.history('a', page.top), { top: page.top, complete: true, texts: [] });
    assert.deepEqual((await worker.history('a', null)).texts, []);
  });

  it('passes on pages and publications in the order of the broker', async (t) => {
    const broker = await startedBroker(t);
    const [reader, writer] = [broker.worker('w1'), broker.worker('w2')];
    const start = await reader.subscribe('a');
    let pages = 0;
    const publishing = (async () => {
      for (let index = 1; index <= 5_000; index++) {
        writer.link.publish('a', draft(`${index}`));
        if (index % 25 === 0) await turn();
      }
    })();
    const ask = () => {
      const before = reader.received.length;
      reader.link.history('a', { since: start, limit: 100_000, limitBytes: 2 ** 24 }, (page) => {
        if (!page) return; // the test is over
        assert.ok(page.complete);
        pages += 1;
        // Everything up to the top has come live before, nothing behind it.
        assert.equal(page.top.offset - start.offset, reader.received.length);
        assert.ok(page.messages.length >= before);
        if (reader.received.length < 5_000) ask();
        reader.signal.happened();
      });
    };
    ask();
    await publishing;
    await reader.signal.until(() => reader.received.length === 5_000, '5 000 publications');
    assert.deepEqual(reader.texts('a'), numbers(5_000));
    await reader.signal.until(() => pages > 0, 'a page');
  });

  it('hands over a page that the broker read before it delivered a publication, or after', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1');
    const { offset } = await worker.subscribe('a');
    let pages = 0;
    const askInOneChunk = () => {
      const ask = () => {
        worker.link.history('a', { since: null, limit: 100, limitBytes: 2 ** 24 }, (page) => {
          assert.equal(page?.top.offset, offset + worker.received.length);
          assert.deepEqual(
            page.messages.map(({ payload }) => payload),
            worker.texts('a'),
          );
          pages += 1;
          worker.signal.happened();
        });
      };
      ask();
      worker.link.publish('a', draft(`${pages}`));
      ask();
    };
    askInOneChunk();
    await worker.signal.until(() => pages === 2, 'two pages');
    await broker.kill();
    await worker.signal.until(() => worker.downs === 1, 'the end of the link');
    askInOneChunk(); // sent again behind the subscription
    await broker.start();
    await worker.signal.until(() => pages === 4, 'two pages of the next broker');
  });

  it('8: delivers every publication after `subscribed`', async (t) => {
    const broker = await startedBroker(t);
    const [reader, writer] = [broker.worker('w1'), broker.worker('w2')];
    const missing: string[] = [];
    const rounds = 2_000;
    for (let round = 0; round < rounds; round++) {
      const channel = `c${round % 7}`;
      const count = reader.received.length;
      const { offset } = await reader.subscribe(channel);
      writer.link.publish(channel, draft(`round ${round}`));
      await reader.signal.until(() => reader.received.length > count, `round ${round}`);
      const last = reader.received.at(-1);
      if (last?.payload !== `round ${round}` || last.offset !== offset + 1) missing.push(`${round}`);
      reader.link.unsubscribe(channel);
    }
    assert.deepEqual(missing, []);
    assert.equal(reader.received.length, rounds);
  });

  it('9: delivers nothing after `unsubscribe`, and misses nothing under many calls of both', async (t) => {
    const broker = await startedBroker(t);
    const [reader, writer] = [broker.worker('w1'), broker.worker('w2')];
    let isSubscribed = false;
    let strays = 0;
    reader.publication = () => {
      if (!isSubscribed) strays += 1;
    };
    const publishing = (async () => {
      for (let index = 1; index <= 3_000; index++) {
        writer.link.publish('a', draft(`${index}`));
        if (index % 5 === 0) await turn();
      }
    })();
    for (let round = 0; round < 300; round++) {
      isSubscribed = true;
      await reader.subscribe('a');
      if (round % 3 === 0) await turn();
      reader.link.unsubscribe('a');
      isSubscribed = false;
      await turn();
    }
    await publishing;
    assert.equal(strays, 0);
  });

  it('12, 27: keeps each publication once and in order while the broker is killed 50 times in the middle of writes', async (t) => {
    const broker = await startedBroker(t);
    const [one, two, reader] = [broker.worker('w1'), broker.worker('w2'), broker.worker('w3')];
    const writers = [one, two];
    const channels = ['a', 'b', 'c'];
    const starts = await Promise.all(channels.map((channel) => reader.subscribe(channel)));
    for (const channel of channels) await one.subscribe(channel);
    let isDone = false;
    const kills = 50;
    const large = 'x'.repeat(1_000);
    const placed: { channel: string; offset: number; text: string }[] = [];
    const publish = async (writer: TestWorker, name: string) => {
      let sent = 0;
      while (!isDone) {
        for (const channel of channels) {
          const text = `${name}:${++sent}`;
          writer.link.publish(
            channel,
            draft(text),
            sent % 10 > 0
              ? null
              : ({ position }) => {
                  assert.ok(position);
                  placed.push({ channel, offset: position.offset, text });
                },
          );
        }
        await sleep(1);
        while (writer.link.unacknowledgedBytes > 512 * 1024) await sleep(1);
      }
      return sent;
    };
    const publishing = Promise.all(writers.map((writer, index) => publish(writer, `${index}`)));
    let bursts = 0;
    for (let kill = 0; kill < kills; kill++) {
      await sleep(1 + (kill % 25));
      const { ups } = reader;
      for (; bursts < 200 * (kill + 1); bursts++) one.link.publish('burst', draft(`${bursts + 1} ${large}`));
      await sleep(kill % 5);
      await broker.kill();
      await broker.start();
      const { length } = reader.received;
      await reader.signal.until(() => reader.ups > ups, 'the link');
      // Otherwise the reader may fall behind the history: nothing reaches it before the next kill.
      if (kill % 5 === 4) await reader.signal.until(() => reader.received.length > length, 'publications');
    }
    isDone = true;
    const whole = await one.history('burst', null);
    assert.deepEqual(
      whole.texts.map((text) => text.split(' ')[0]),
      numbers(bursts),
    );
    const total = (await publishing).reduce((sum, sent) => sum + sent, 0);
    assert.ok(total > 1_000, `${total} published`);
    const subscribers = [reader, one];
    for (const worker of subscribers) {
      await worker.signal.until(() => worker.received.length >= total, `${total} publications`);
      assert.equal(worker.received.length, total);
      assert.deepEqual(worker.gaps, []);
      for (const [index, channel] of channels.entries()) {
        const own = worker.received.filter((each) => each.channel === channel);
        const first = (starts[index]?.offset ?? 0) + 1;
        assert.deepEqual(
          own.map(({ offset }) => offset),
          own.map((_, at) => first + at),
        );
        assert.deepEqual(new Set(own.map(({ epoch }) => epoch)), new Set([starts[index]?.epoch]));
        for (const name of ['0', '1']) {
          const texts = own.map(({ payload }) => payload).filter((text) => text.startsWith(`${name}:`));
          const order = texts.map((text) => Number(text.slice(2)));
          assert.deepEqual(
            order,
            [...order].sort((a, b) => a - b),
          );
          assert.equal(new Set(order).size, order.length);
        }
      }
      const stored = new Map(
        worker.received.map(({ channel, offset, payload }) => [`${channel} ${offset}`, payload]),
      );
      for (const { channel, offset, text } of placed) assert.equal(stored.get(`${channel} ${offset}`), text);
    }
    for (const writer of writers)
      await writer.signal.until(() => writer.link.unacknowledged === 0, 'acknowledgements');
    assert.equal(reader.downs, kills);
  });

  it('14: subscribes 100 000 channels again after the end of the broker', async (t) => {
    const broker = await startedBroker(t);
    const [reader, writer] = [broker.worker('w1'), broker.worker('w2')];
    const names = numbers(100_000).map((number) => `channel ${number}`);
    const positions = new Map<string, Position>();
    for (const name of names) {
      reader.link.subscribe(name, (position) => {
        positions.set(name, position);
        reader.signal.happened();
      });
    }
    await reader.signal.until(() => positions.size === names.length, 'all positions');
    await broker.kill();
    const missed = names.filter((_, index) => index % 1_000 === 0);
    for (const name of missed) writer.link.publish(name, draft(name));
    await broker.start();
    await reader.signal.until(() => reader.received.length === missed.length, 'the missed publications');
    for (const name of names) {
      if (writer.link.unacknowledgedBytes > 4 * 1024 * 1024)
        await writer.signal.until(() => writer.link.unacknowledgedBytes < 1024 * 1024, 'acknowledgements');
      writer.link.publish(name, draft(name));
    }
    const total = names.length + missed.length;
    await reader.signal.until(() => reader.received.length === total, 'a publication of each channel');
    const last = new Map(reader.received.map(({ channel, offset }) => [channel, offset]));
    for (const [name, { offset }] of positions) {
      assert.equal(last.get(name), offset + (missed.includes(name) ? 2 : 1), name);
    }
    assert.deepEqual(reader.gaps, []);
  });

  it('continues after a stop of the broker', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1');
    await worker.subscribe('a');
    const { position } = await worker.publish('a', '1');
    await broker.stop();
    worker.link.publish('a', draft('2'));
    const joined = worker.subscribe('b');
    await broker.start();
    await joined;
    await worker.signal.until(() => worker.received.length === 2, 'the second publication');
    assert.deepEqual(worker.received[1]?.offset, (position?.offset ?? 0) + 1);
    assert.deepEqual(worker.gaps, []);
  });

  it('reports a gap if the history does not reach back far enough', async (t) => {
    const broker = await startedBroker(t, { historySize: 3, historyTtl: '1h' });
    const [reader, writer] = [broker.worker('w1'), broker.worker('w2')];
    const before = await reader.subscribe('a');
    process.kill(broker.pid, 'SIGSTOP');
    reader.link.unsubscribe('a'); // not read yet
    process.kill(broker.pid, 'SIGCONT');
    const position = await reader.subscribe('a');
    assert.deepEqual(position, before);
    await broker.kill();
    broker.namespace = { historySize: 2, historyTtl: '1h' };
    // A broker that another one went before, without a word to the reader.
    const path = broker.path;
    Object.assign(broker, { path: `${path}.other` });
    await broker.start();
    const other = broker.worker('w3');
    for (const text of numbers(5)) await other.publish('a', text);
    await broker.kill();
    Object.assign(broker, { path });
    await broker.start();
    await reader.signal.until(() => reader.gaps.length === 1, 'a gap');
    assert.deepEqual(reader.gaps, [{ channel: 'a', position: { epoch: position.epoch, offset: 5 } }]);
    await writer.publish('a', '6');
    await reader.signal.until(() => reader.received.length === 1, 'the next publication');
    assert.deepEqual([reader.received[0]?.offset, reader.gaps.length], [6, 1]);
  });

  it('refuses publications above the limit of waiting bytes, and stores the accepted ones', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1', { maxUnacknowledgedBytes: 100_000 });
    await worker.signal.until(() => worker.ups === 1, 'the link');
    await broker.kill();
    const payload = 'x'.repeat(10_000);
    let taken = 0;
    assert.throws(
      () => {
        for (; taken < 100; taken++) worker.link.publish('a', draft(payload));
      },
      { code: 'unavailable' },
    );
    assert.ok(taken >= 9 && taken < 12, `${taken} taken`);
    assert.deepEqual(worker.congestions, [true]);
    await broker.start();
    await worker.signal.until(() => worker.link.unacknowledged === 0, 'acknowledgements');
    assert.equal((await worker.history('a', null)).texts.length, taken);
    assert.deepEqual(worker.congestions, [true, false]);
  });

  it('skips a worker that does not read, and later delivers the missed publications', async (t) => {
    const broker = await startedBroker(t);
    const [fast, writer] = [broker.worker('w2'), broker.worker('w3')];
    const { slow, pipe } = await workerBehindPipe(t, broker);
    await slow.subscribe('a');
    await slow.subscribe('quiet');
    await fast.subscribe('a');
    pipe.pause();
    const payload = 'x'.repeat(100_000);
    const count = 300; // 30 MB
    for (let index = 0; index < count; index++) {
      writer.link.publish('a', draft(`${index}:${payload}`));
      if (index % 20 === 0) await fast.signal.until(() => fast.received.length >= index - 20, 'the fast one');
    }
    await fast.signal.until(() => fast.received.length === count, 'the fast one');
    writer.link.publish('quiet', draft('hush'));
    pipe.resume();
    await slow.signal.until(() => slow.received.length === count + 1, 'the slow one');
    assert.deepEqual(
      slow.texts('a').map((text) => text.split(':')[0]),
      numbers(count, 0),
    );
    assert.deepEqual(slow.gaps, []);
  });

  it('answers any position of a client that is not known as not recoverable', async (t) => {
    const broker = await startedBroker(t);
    const worker = broker.worker('w1');
    const { position } = await worker.publish('a', '1');
    assert.ok(position);
    for (const epoch of [
      '',
      'x'.repeat(1_000),
      'ü:\u0000',
      String.fromCharCode(0x100 + position.epoch.charCodeAt(0)),
    ]) {
      const page = await worker.history('a', { epoch, offset: 0 });
      assert.deepEqual([page.complete, page.top], [false, position], epoch);
    }
    for (const offset of [-1, 1.5, 2 ** 48, Infinity, NaN, 2]) {
      const page = await worker.history('a', { ...position, offset });
      assert.deepEqual([page.complete, page.texts], [false, []], String(offset));
    }
    const key = 'k'.repeat(256);
    assert.throws(() => {
      worker.link.publish('a', draft('2', { key }));
    }, RangeError);
    assert.throws(() => {
      worker.link.publish('a', draft('2', { meta: Buffer.alloc(65_536) }));
    }, RangeError);
    assert.equal((await worker.publish('a', '2', { key: 'k'.repeat(255) })).position?.offset, 2);
  });

  it('answers reads above the buffer limit of a worker one after the other', async (t) => {
    const broker = await startedBroker(t);
    const [worker, other] = [broker.worker('w1'), broker.worker('w2')];
    const { top } = await worker.history('a', null);
    const payload = 'x'.repeat(100_000);
    for (let index = 0; index < 30; index++) await worker.publish('a', payload);
    const pages = await Promise.all(Array.from({ length: 20 }, () => worker.history('a', top))); // 60 MB
    assert.ok(pages.every(({ complete, texts }) => complete && texts.length === 30));
    assert.equal((await other.publish('a', 'at the end')).position?.offset, 31);
  });

  it('is refused by the broker of another hub, and dials again', async (t) => {
    const broker = await startedBroker(t);
    const stranger = new TestBroker(t);
    Object.assign(stranger, { path: broker.path, hubId: 'another-hub' });
    const worker = stranger.worker('w1');
    await sleep(200);
    assert.equal(worker.ups, 0);
    const own = broker.worker('w2');
    await own.publish('a', '1');
  });

  it('survives invalid frames', async (t) => {
    const broker = new TestBroker(t);
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      socket.write(Buffer.from('HTTP/1.1 200 OK\r\n\r\n'));
    });
    await new Promise<void>((resolve) => server.listen(broker.path, resolve));
    const worker = broker.worker('w1');
    worker.link.publish('a', draft('kept'));
    while (connections < 3) await sleep(10);
    server.close();
    await broker.start();
    await worker.signal.until(() => worker.link.unacknowledged === 0, 'acknowledgements');
    assert.deepEqual((await worker.history('a', null)).texts, ['kept']);
  });
});
