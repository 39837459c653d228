/** Joins and leaves on their way to the clients of a worker: what is written, to whom, and when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Channel } from '../../src/channel/channel.ts';
import type { MemberEvent, PresentMember } from '../../src/channel/member.ts';
import { Client, Subscription, type ClientOwner, type SubscriptionOptions } from '../../src/client/client.ts';
import { LocalPresence, memberOf } from '../../src/client/local-presence.ts';
import { defaultChannelOptions } from '../../src/config/namespaces.ts';
import { PresenceLink } from '../../src/relay/broker-link/presence-link.ts';
import { FakeProtocol, FakeTransport } from './fake-transport.ts';

const member = (connectionId: string): PresentMember => ({
  connectionId,
  user: '',
  info: '',
  channelInfo: '',
});
const joined = (id: string): MemberEvent => ({ kind: 'joined', member: member(id) });
const left = (id: string): MemberEvent => ({ kind: 'left', member: member(id) });

function setup() {
  const link = new PresenceLink({
    send: () => undefined,
    flush: () => undefined,
    event: () => undefined,
    handle: null,
  });
  const presence = new LocalPresence({
    link,
    wake: () => undefined,
    catchUp: (client) => {
      client.write(Buffer.from('[waiting]'));
    },
  });
  const owner: ClientOwner = {
    outboxSoftBytes: 1_000_000,
    slow: () => undefined,
    skipped: () => undefined,
    releaseLater: () => undefined,
    catchUp: () => undefined,
    unsubscribeAll: () => undefined,
  };
  const protocol = new FakeProtocol();
  const channel = new Channel<Subscription>('c', 1, defaultChannelOptions);
  const enter = (memberEvents: SubscriptionOptions['memberEvents'] = 'others') => {
    const transport = new FakeTransport();
    const client = new Client(transport, protocol, owner);
    const subscription = new Subscription(client, channel, { echo: true, mayPublish: true, memberEvents });
    presence.entered(subscription, memberOf(client, {}));
    return { subscription, id: client.id, writes: transport.writes };
  };
  return { presence, enter };
}

describe('LocalPresence', () => {
  it('writes the changes of a turn together, without the own join, and leaves behind what waits', () => {
    const { presence, enter } = setup();
    const [one, all, none] = [enter(), enter('all'), enter('none')];
    for (const event of [joined(one.id), joined('x'), left('y'), joined('z')]) presence.changed('c', event);
    assert.equal(presence.flush(performance.now()), Infinity);
    assert.deepEqual(one.writes, ['<joined c x>', '[waiting]', '<left c y><joined c z>']);
    assert.deepEqual(all.writes[0], `<joined c ${one.id}><joined c x>`);
    assert.deepEqual(none.writes, []);
    assert.equal(presence.flush(performance.now()), Infinity);
    assert.equal(one.writes.length, 3);
  });

  it('writes no change that is older than the subscription, or behind its end', () => {
    const { presence, enter } = setup();
    const [early, ends] = [enter(), enter()];
    presence.changed('c', joined('x'));
    const late = enter();
    presence.changed('c', joined('y'));
    presence.left(ends.subscription);
    presence.flush(performance.now());
    assert.deepEqual(
      [early.writes, late.writes, ends.writes],
      [['<joined c x><joined c y>'], ['<joined c y>'], []],
    );
  });

  it('lets the changes of a large audience wait for a window, or until a publication', () => {
    const { presence, enter } = setup();
    const clients = Array.from({ length: 1_000 }, () => enter());
    const [first] = clients;
    presence.changed('c', joined('x'));
    const before = performance.now();
    assert.equal(presence.flush(before), Infinity, 'the first change does not wait');
    for (const id of ['y', 'z']) presence.changed('c', joined(id));
    const wait = presence.flush(before);
    assert.ok(wait >= 100 && wait < Infinity, `${wait}`);
    assert.deepEqual(first?.writes, ['<joined c x>']);
    presence.flush(before + wait + 1);
    assert.deepEqual(first.writes, ['<joined c x>', '<joined c y><joined c z>']);
    presence.changed('c', left('x'));
    presence.precede('d');
    assert.equal(first.writes.length, 2);
    presence.precede('c');
    assert.equal(first.writes.at(-1), '<left c x>');
    presence.changed('c', joined('x'));
    presence.flush(Infinity);
    assert.equal(first.writes.at(-1), '<joined c x>');
  });
});
