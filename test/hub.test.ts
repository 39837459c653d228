/** The hub with a fake relay and clients over fake transports: who gets what, in how many writes, and what leaves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Publication } from '../src/channel/publication.ts';
import { Client } from '../src/client/client.ts';
import { Namespaces } from '../src/config/namespaces.ts';
import { Hub } from '../src/hub.ts';
import { Counters } from '../src/metrics/counters.ts';
import type { Relay, RelayHost } from '../src/relay/relay.ts';
import { FakeProtocol, FakeTransport } from './client/fake-transport.ts';

class FakeRelay implements Relay {
  readonly maxPublicationBytes = 1_000;
  readonly said: string[] = [];
  readonly remoteChannelCount = 0;
  host: RelayHost | undefined;
  waiting: (() => void)[] = [];

  start(host: RelayHost): void {
    this.host = host;
  }
  announce({ name }: { name: string }): void {
    this.said.push(`announce ${name}`);
  }
  withdraw({ name }: { name: string }): void {
    this.said.push(`withdraw ${name}`);
  }
  whenKnown(_channel: unknown, done: () => void): void {
    this.waiting.push(done);
  }
  membersChanged(): void {
    // counts are the relay's own affair
  }
  congestionChanged(): void {
    // nothing is congested here
  }
  publish(name: string, { payload }: Publication): void {
    this.said.push(`publish ${name} ${payload.toString()}`);
  }
  flush(): number {
    return Infinity;
  }
  siblings() {
    return [];
  }
  /** subscribers of a sibling by channel */
  readonly remote = new Map<string, number>();
  remoteChannels() {
    return this.remote.keys();
  }
  remoteWorkers(name: string) {
    const connections = this.remote.get(name);
    return connections === undefined ? [] : [{ workerId: 'w2', connections }];
  }
  remoteMembers(): number {
    return 0;
  }
  knows(): boolean {
    return false;
  }
}

function setup(isStrict = false) {
  const relay = new FakeRelay();
  const counters = new Counters();
  const namespaces = Namespaces.from({ namespaces: [{ name: 'known' }], strictNamespaces: isStrict });
  const hub = new Hub({
    namespaces,
    streams: null,
    workerId: 'w1',
    maxBatchDelayMs: 0,
    workers: 1,
    relay,
    connections: () => 0,
    counters,
  });
  const protocol = new FakeProtocol();
  const owner = {
    outboxSoftBytes: 1_000,
    slow: () => undefined,
    skipped: () => undefined,
    releaseLater: (client: Client) => {
      hub.releaseLater(client);
    },
    catchUp: (client: Client) => {
      hub.catchUp(client);
    },
    unsubscribeAll: (client: Client) => {
      hub.unsubscribeAll(client);
    },
  };
  const connect = () => {
    const transport = new FakeTransport();
    return { transport, client: new Client(transport, protocol, owner) };
  };
  const join = (client: Client, name: string, echo = true) =>
    hub.subscribe(hub.reserve(name), client, { echo, mayPublish: true });
  const publish = (name: string, text: string) => {
    hub.publish(name, new Publication(Buffer.from(text), 'ws'));
  };
  return { relay, counters, hub, protocol, connect, join, publish };
}

describe('the hub', () => {
  it('writes to a client on twenty channels once per flush, in order within each channel', () => {
    const { hub, connect, join, publish } = setup();
    const { transport, client } = connect();
    const names = Array.from({ length: 20 }, (_, n) => `room${n}`);
    for (const name of names) join(client, name);
    for (const text of ['1', '2']) for (const name of names) publish(name, text);
    hub.flush();
    assert.deepEqual(transport.writes, [names.map((name) => `[${name} 1][${name} 2]`).join('')]);
    publish('room3', '3');
    hub.flush();
    assert.deepEqual(transport.writes.slice(1), ['[room3 3]']);
  });

  it('encodes a batch once for all clients of a protocol', () => {
    const { hub, protocol, connect, join, publish } = setup();
    const clients = Array.from({ length: 30 }, connect);
    for (const { client } of clients) join(client, 'news');
    publish('news', '1');
    publish('news', '2');
    hub.flush();
    assert.equal(protocol.encoded, 1);
    assert.ok(clients.every(({ transport }) => transport.writes.join() === '[news 1][news 2]'));
  });

  it('keeps the order of writes to a client that is closed or written between two flushes', () => {
    const { hub, connect, join, publish } = setup();
    const { transport, client } = connect();
    for (const name of ['a', 'b']) join(client, name);
    publish('a', '1');
    client.send('direct');
    publish('b', '2');
    client.close('connection_killed');
    publish('a', 'late');
    hub.flush();
    assert.equal(transport.writes.join(''), '[a 1]<direct>[b 2]<disconnected connection_killed>close');
  });

  it('ends one subscription and leaves the others alone', () => {
    const { relay, hub, connect, join, publish } = setup();
    const { transport, client } = connect();
    const [a] = [join(client, 'a'), join(client, 'b')];
    publish('a', '1');
    hub.unsubscribe(a);
    hub.unsubscribe(a);
    publish('a', '2');
    publish('b', '3');
    hub.flush();
    assert.equal(transport.writes.join(''), '[a 1][b 3]');
    assert.deepEqual(
      client.subscriptions.map(({ channel }) => channel.name),
      ['b'],
    );
    assert.ok(relay.said.includes('withdraw a'));
  });

  it('does not send a publication back over the subscription that excludes it', () => {
    const { hub, connect, join } = setup();
    const [sender, other] = [connect(), connect()];
    const subscription = join(sender.client, 'a', false);
    join(other.client, 'a');
    hub.publish('a', new Publication(Buffer.from('1'), 'ws', subscription));
    hub.flush();
    assert.deepEqual([sender.transport.writes, other.transport.writes], [[], ['[a 1]']]);
  });

  it('announces a channel with its first subscriber, publishes to the relay, and delivers publications of the relay locally only', () => {
    const { relay, counters, hub, connect, join, publish } = setup();
    const { transport, client } = connect();
    const subscription = join(client, 'a');
    publish('a', '1');
    relay.host?.deliver(subscription.channel.id, new Publication(Buffer.from('2'), 'relay'));
    relay.host?.deliverNamed('nowhere', new Publication(Buffer.from('3'), 'relay'));
    hub.flush();
    assert.deepEqual(relay.said, ['announce a', 'publish a 1']);
    assert.deepEqual(transport.writes, ['[a 1][a 2]']);
    assert.deepEqual(counters.delivered, { local: 1, relay: 1 });
  });

  it('calls back when the relay knows the channel, and withdraws it after a cancelled join', () => {
    const { relay, hub } = setup();
    let known = 0;
    const channel = hub.reserve('a');
    hub.whenKnown(channel, () => (known += 1));
    assert.equal(known, 0);
    for (const done of relay.waiting) done();
    assert.equal(known, 1);
    hub.release(channel);
    assert.deepEqual(relay.said, ['announce a', 'withdraw a']);
    assert.equal(hub.channelCount, 0);
  });

  it('refuses to publish to an undeclared namespace if namespaces are strict', () => {
    const { relay, publish } = setup(true);
    publish('known:a', '1');
    assert.throws(() => {
      publish('unknown:a', '2');
    }, /not a declared namespace/);
    assert.deepEqual(relay.said, ['publish known:a 1']);
  });

  it('refuses a publication that is too large for the relay, for local subscribers too', () => {
    const { hub, connect, join, publish } = setup();
    const { transport, client } = connect();
    join(client, 'a');
    assert.throws(() => {
      publish('a', 'x'.repeat(1_001));
    }, /message_too_big|more than workers can send/);
    hub.flush();
    assert.deepEqual(transport.writes, []);
  });
});

describe('the list of channels', () => {
  it('has each channel once, with its connections on all workers', async () => {
    const { hub, relay } = setup();
    for (const name of ['here', 'both']) hub.reserve(name);
    relay.remote.set('both', 2).set('there', 3);
    const own = { workerId: 'w1', connections: 0 };
    const wanted = [
      { channel: 'here', connections: 0, workers: [own] },
      { channel: 'both', connections: 2, workers: [own, { workerId: 'w2', connections: 2 }] },
      { channel: 'there', connections: 3, workers: [{ workerId: 'w2', connections: 3 }] },
    ];
    assert.deepEqual(await hub.listChannels(), wanted);
    assert.deepEqual(hub.state().channels, wanted);
    assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(hub.state())) as object), [
      'workerId',
      'connections',
      'workers',
      'channels',
    ]);
  });

  it('is collected in many turns of the event loop, and stays right while channels open and close', async () => {
    const { hub, relay } = setup();
    const names = Array.from({ length: 100_000 }, (_, n) => `channel ${n}`);
    for (const name of names) {
      hub.release(hub.reserve(name));
      hub.reserve(name);
      relay.remote.set(`remote ${name}`, 1);
    }
    let turns = 0;
    let isListed = false;
    const count = () => {
      turns += 1;
      if (isListed) return;
      hub.reserve(`new ${turns}`);
      const leaving = hub.channel(names[turns] ?? '');
      if (leaving) hub.release(leaving as Parameters<Hub['release']>[0]);
      relay.remote.set(names[turns] ?? '', 1); // the last one has moved to the sibling
      setImmediate(count);
    };
    setImmediate(count);
    const list = await hub.listChannels();
    isListed = true;
    assert.ok(turns >= 4, `${turns} turns`);
    const listed = new Set(list.map(({ channel }) => channel));
    assert.equal(listed.size, list.length, 'each once');
    for (const name of names) assert.ok(listed.has(name) && listed.has(`remote ${name}`), name);
  });
});
