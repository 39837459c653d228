/** The Redis engine with a real server: the suite of every engine, and what a server can do to it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Appended, Position } from '../../../src/engine/engine.ts';
import type { RedisEngine } from '../../../src/engine/redis/redis-engine.ts';
import { movingAddress, noRedis, RedisServer } from '../../redis-server.ts';
import { reservedPort } from '../../reserved-port.ts';
import { eventually, temporaryFolder } from '../../support.ts';
import { append, describeEngine, rule } from '../conformance.ts';
import { engineOn, isUp, redisRig, startedOn } from './rigs.ts';

const all = { limit: 100_000, limitBytes: 2 ** 30 };
const count = (length: number) => Array.from({ length }, (_, index) => String(index + 1));

async function publish(engine: RedisEngine, channel: string, ...payloads: string[]): Promise<Position[]> {
  const results = await engine.publish(payloads.map((payload) => append(channel, payload)));
  return results.map(({ position }) => position as Position);
}

async function textsOf(
  engine: RedisEngine,
  channel: string,
  since: Position | null,
): Promise<string[] | null> {
  const { complete, messages } = await engine.history(channel, { ...all, since });
  return complete ? messages.map(({ payload }) => payload) : null;
}

/** Calls `publish` for one number after the other until `end` is called, without waiting for the answers. */
function stream(engine: RedisEngine, channel: string) {
  const results: Promise<readonly Appended[]>[] = [];
  const timer = setInterval(() => {
    results.push(engine.publish([append(channel, String(results.length + 1), { worker: 'stream' })]));
  }, 1);
  const end = async () => {
    clearInterval(timer);
    return (await Promise.all(results)).flat();
  };
  return { results, end };
}

/** A primary and a replica behind one address, and an engine. */
async function pair(t: TestContext) {
  const primary = await RedisServer.start(t);
  const replica = await RedisServer.start(t, { replicaOf: primary });
  await primary.synced(replica);
  const address = await movingAddress(t, primary);
  const engine = await engineOn(t, address.url, { rule });
  const failOver = async () => {
    const { ok } = engine.counters.connects;
    await primary.kill();
    await replica.cli('replicaof', 'no', 'one');
    address.moveTo(replica);
    await eventually(() => (engine.counters.connects.ok > ok ? true : undefined), 'the next connection');
  };
  return { primary, replica, engine, failOver };
}

describe('with redis-server', { skip: noRedis }, () => {
  describeEngine('Redis', redisRig);

  describe('RedisEngine', () => {
    it('8: receives every publication after subscribe has resolved', async (t) => {
      const server = await RedisServer.start(t);
      const delivered: { channel: string; payload: string; position: Position }[] = [];
      const [engine, other] = [
        await engineOn(t, server.url, { rule, delivered }),
        await engineOn(t, server.url, { rule, machine: 'other' }),
      ];
      const channels = count(2_000);
      await Promise.all(
        channels.map(async (channel) => {
          await engine.subscribe(channel);
          await publish(other, channel, channel);
        }),
      );
      await eventually(() => (delivered.length >= channels.length ? true : undefined), 'all publications');
      assert.deepEqual(new Set(delivered.map(({ payload }) => payload)), new Set(channels));
      assert.equal(delivered.length, channels.length);
    });

    it('9: keeps a channel that is subscribed again before its delay is over, and drops others', async (t) => {
      const server = await RedisServer.start(t);
      const delivered: { channel: string; payload: string; position: Position }[] = [];
      const engine = await engineOn(t, server.url, { rule, delivered });
      for (let round = 0; round < 5; round++) {
        await engine.subscribe('kept');
        engine.unsubscribe('kept');
      }
      await engine.subscribe('kept');
      await engine.subscribe('dropped');
      engine.unsubscribe('dropped');
      await eventually(() => (engine.subscribed === 1 ? true : undefined), 'one channel');
      await eventually(
        async () =>
          (await server.cli('pubsub', 'numsub', 'test:c:dropped')) === 'test:c:dropped\n0' ? true : undefined,
        'no subscriber in the server',
      );
      await publish(engine, 'dropped', 'unheard');
      await publish(engine, 'kept', 'heard');
      await eventually(() => (delivered.length > 0 ? true : undefined), 'a publication');
      assert.deepEqual(
        delivered.map(({ payload }) => payload),
        ['heard'],
      );
      await engine.subscribe('dropped');
      await publish(engine, 'dropped', 'heard again');
      await eventually(() => (delivered.length > 1 ? true : undefined), 'the channel again');
    });

    it('12: stores appends once and in order while connections are cut', async (t) => {
      const server = await RedisServer.start(t);
      const engine = await engineOn(t, server.url, { rule: { ...rule, historySize: 100_000 } });
      const { top } = await engine.history('a', { ...all, since: null });
      const { results, end } = stream(engine, 'a');
      for (let cut = 1; cut <= 10; cut++) {
        await eventually(() => (results.length >= cut * 20 ? true : undefined), 'appends');
        await server.cli('client', 'kill', 'type', 'normal');
        await isUp(engine);
      }
      const stored = await end();
      assert.deepEqual(await textsOf(engine, 'a', top), count(stored.length));
      assert.deepEqual(
        stored.map(({ position }) => position?.offset),
        count(stored.length).map((number) => top.offset + Number(number)),
      );
    });

    it('14: subscribes all channels again after a cut', async (t) => {
      const server = await RedisServer.start(t);
      const delivered: { channel: string; payload: string; position: Position }[] = [];
      const engine = await engineOn(t, server.url, { rule, delivered });
      const channels = count(20_000);
      await Promise.all(channels.map((channel) => engine.subscribe(channel)));
      await server.cli('client', 'kill', 'type', 'pubsub');
      await eventually(
        () => (engine.counters.connects.ok > 1 && engine.isUp ? true : undefined),
        'a connection',
      );
      for (const channel of ['1', '10000', '20000']) await publish(engine, channel, channel);
      await eventually(() => (delivered.length === 3 ? true : undefined), 'three publications');
      const subscribed = await server.cli('pubsub', 'channels', 'test:c:*');
      assert.equal(subscribed.split('\n').length, channels.length);
    });

    it('15: begins a new epoch where the server has lost everything', async (t) => {
      const server = await RedisServer.start(t);
      const engine = await engineOn(t, server.url, { rule });
      const [, second] = await publish(engine, 'a', '1', '2');
      await server.kill();
      const waiting = publish(engine, 'a', '3', '4');
      await assert.rejects(engine.history('a', { ...all, since: null }));
      await eventually(() => (engine.isUp ? undefined : true), 'the end of the connections');
      await assert.rejects(engine.history('a', { ...all, since: null }), 'while publications wait');
      await server.start();
      const [third] = await waiting;
      assert.ok(second && third);
      assert.notEqual(third.epoch, second.epoch);
      assert.equal(await textsOf(engine, 'a', second), null);
      assert.deepEqual(await textsOf(engine, 'a', null), ['3', '4']);
    });

    it('16: does not resume after a restart with data, which may lack the last writes', async (t) => {
      const server = await RedisServer.start(t, { args: ['--appendonly', 'yes', '--appendfsync', 'no'] });
      const engine = await engineOn(t, server.url, { rule });
      const [first] = await publish(engine, 'a', '1', '2');
      assert.ok(first);
      await server.kill();
      await server.start();
      await isUp(engine);
      assert.equal(await textsOf(engine, 'a', first), null);
      assert.equal(engine.counters.epochs.failover, 1);
    });

    it('17: goes on after a failover, with a new epoch', async (t) => {
      const { primary, replica, engine, failOver } = await pair(t);
      const { results, end } = stream(engine, 'a');
      await eventually(() => (results.length > 50 ? true : undefined), 'appends');
      await primary.synced(replica).catch(() => undefined);
      await failOver();
      const stored = await end();
      const { epoch } = stored.at(-1)?.position ?? {};
      const own = stored.filter(({ position }) => position?.epoch === epoch);
      const offsets = own.map(({ position }) => position?.offset);
      assert.deepEqual(offsets, count(own.length).map(Number), 'each offset of an epoch once');
    });

    it('18: never resumes wrongly after a failover that has lost writes', async (t) => {
      const { primary, replica, engine, failOver } = await pair(t);
      const kept = await publish(engine, 'a', '1', '2', '3');
      const [quiet] = await publish(engine, 'quiet', '1');
      await primary.synced(replica);
      await replica.cli('replicaof', '127.0.0.1', '1'); // it receives nothing more
      const lost = await publish(engine, 'a', '4', '5', '6');
      await publish(engine, 'quiet', '2');
      await failOver();
      const later = await publish(engine, 'a', '4 of the new line', '5', '6', '7');
      for (const position of [...kept, ...lost]) {
        assert.equal(await textsOf(engine, 'a', position), null, `${position.offset} of the line before`);
      }
      const [first] = later;
      assert.ok(first && quiet);
      assert.deepEqual(await textsOf(engine, 'a', first), ['5', '6', '7']);
      assert.equal(await textsOf(engine, 'quiet', quiet), null, 'a channel without later publications');
      assert.deepEqual(await engine.tops(['a']), [later.at(-1)]);
    });

    it('19: outlives a server that stands still, and stores nothing twice', async (t) => {
      const server = await RedisServer.start(t);
      const engine = await engineOn(t, server.url, { rule: { ...rule, historySize: 100_000 } });
      const { results, end } = stream(engine, 'a');
      await eventually(() => (results.length > 10 ? true : undefined), 'appends');
      server.signal('SIGSTOP');
      await eventually(() => (engine.isUp ? undefined : true), 'the end of the silent connections');
      server.signal('SIGCONT');
      await isUp(engine);
      const stored = await end();
      assert.deepEqual(await textsOf(engine, 'a', null), count(stored.length));
    });

    it('20: opens new connections when that of PUB/SUB is cut, and tells of both', async (t) => {
      const server = await RedisServer.start(t);
      const told: string[] = [];
      const events = { up: () => void told.push('up'), down: () => void told.push('down') };
      const engine = await engineOn(t, server.url, { rule, events });
      await server.cli('client', 'kill', 'type', 'pubsub');
      await eventually(() => (told.length >= 3 ? true : undefined), 'the next connection');
      assert.deepEqual(told, ['up', 'down', 'up']);
      assert.ok(engine.isUp);
    });

    it('carries publications without history to the other machines only', async (t) => {
      const server = await RedisServer.start(t);
      const received: string[] = [];
      const engineOf = (machine: string) =>
        engineOn(t, server.url, {
          rule,
          machine,
          events: {
            relayed: (channel, payload) => void received.push(`${machine} ${channel} ${payload.toString()}`),
          },
        });
      const [one, other] = [await engineOf('one'), await engineOf('other')];
      await Promise.all([one.subscribe('a'), other.subscribe('a')]);
      for (const number of count(100)) one.relay('a', Buffer.from(number), Buffer.alloc(0));
      await eventually(() => (received.length >= 100 ? true : undefined), 'all publications');
      assert.deepEqual(
        received,
        count(100).map((number) => `other a ${number}`),
      );
      assert.equal(one.counters.echoes, 100);
      await eventually(() => (one.machines.length === 2 ? true : undefined), 'both machines');
      assert.deepEqual(one.machines.toSorted(), ['one', 'other']);
    });

    it('speaks TLS with an authority of its own, and takes the password from a file', async (t) => {
      const folder = temporaryFolder(t);
      const file = (name: string) => join(folder, name);
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
      const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', file('key.pem'), '-out', file('cert.pem')];
      execFileSync('openssl', ['req', '-x509', '-days', '1', ...key, ...subject], { stdio: 'ignore' });
      writeFileSync(file('password'), 'a secret\n');
      const tlsPort = reservedPort();
      const tls = ['--tls-port', String(tlsPort), '--tls-cert-file', file('cert.pem'), '--tls-key-file'];
      const server = await RedisServer.start(t, {
        args: [...tls, file('key.pem'), '--tls-auth-clients', 'no', '--tls-ca-cert-file', file('cert.pem')],
      });
      await server.cli('config', 'set', 'requirepass', 'a secret');
      const url = `rediss://127.0.0.1:${tlsPort}`;
      const secrets = { passwordFile: file('password'), tlsCaFile: file('cert.pem') };
      const engine = await engineOn(t, url, { rule, ...secrets });
      const [position] = await publish(engine, 'a', '1');
      assert.equal(position?.offset, 1);
      for (const wrong of [
        { ...secrets, tlsCaFile: null },
        { ...secrets, passwordFile: null },
      ]) {
        const reasons: string[] = [];
        const events = { down: (reason: string) => void reasons.push(reason) };
        startedOn(t, url, { rule, ...wrong, events });
        await eventually(() => reasons[0], 'a refusal');
        assert.match(reasons[0] ?? '', /self-signed certificate|NOAUTH/);
      }
    });

    it('needs no more than the keys and PUB/SUB channels of its prefix', async (t) => {
      const server = await RedisServer.start(t);
      const rights = ['on', '>pw', '~test:*', '&test:*', '+@all', '-@admin'];
      await server.cli('acl', 'setuser', 'hub', ...rights);
      const engine = await engineOn(t, server.url.replace('//', '//hub:pw@'), { rule });
      await engine.subscribe('a');
      const [position] = await publish(engine, 'a', '1');
      assert.equal(position?.offset, 1);
      const keyed = await engine.publish([append('a', '2', { key: 'k' })]);
      assert.equal(keyed[0]?.position?.offset, 2);
      assert.deepEqual(await textsOf(engine, 'a', null), ['1', '2']);
      assert.deepEqual(await engine.remove('a'), keyed[0].position);
    });

    it('refuses a server of a Redis Cluster', async (t) => {
      const server = await RedisServer.start(t, { args: ['--cluster-enabled', 'yes'] });
      const reasons: string[] = [];
      startedOn(t, server.url, { rule, events: { down: (reason) => void reasons.push(reason) } });
      await eventually(() => reasons[0], 'a reason');
      assert.match(reasons[0] ?? '', /Redis Cluster, which is not supported/);
    });

    it('refuses a replica, and takes it once it is the primary', async (t) => {
      const primary = await RedisServer.start(t);
      const replica = await RedisServer.start(t, { replicaOf: primary });
      await primary.synced(replica);
      const reasons: string[] = [];
      const started = engineOn(t, replica.url, {
        rule,
        events: { down: (reason) => void reasons.push(reason) },
      });
      await eventually(() => reasons[0], 'a reason');
      assert.match(reasons[0] ?? '', /the server is a slave; the hub needs the primary/);
      await replica.cli('replicaof', 'no', 'one');
      await started;
    });
  });
});
