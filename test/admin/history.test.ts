/** Channels with history over HTTP: positions and idempotency keys of publishers, what is read and what is removed. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  codeOf,
  connectApart,
  eventually,
  hubFor,
  startHub,
  type Answer,
  type Client,
  type HubProcess,
} from '../support.ts';

interface Placed {
  channel: string;
  epoch: string;
  offset: number;
}

interface Enveloped extends Placed {
  data: unknown;
}

const namespace = { name: 'kept', historySize: 100, historyTtl: '1h' };
const env = { WSHUB_NAMESPACES: JSON.stringify([namespace]), WSHUB_STOP_SPREAD_MS: '0' };

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

function post(hub: HubProcess, channel: string, data: unknown, key?: string, port = hub.opsPort) {
  return hub.admin('POST', `/channels/${encodeURIComponent(channel)}/messages`, {
    port,
    body: Buffer.from(JSON.stringify(data)), // with text Node would send the headers as UTF-8 too
    ...(key === undefined ? {} : { headers: { 'idempotency-key': key } }),
  });
}

const postAll = (hub: HubProcess, items: readonly object[]) =>
  hub.admin('POST', '/publish', { body: JSON.stringify(items) });

function placed({ status, body }: Answer): Placed {
  assert.equal(status, 202, JSON.stringify(body));
  return body as Placed;
}

/** What a subscriber with an envelope saw. */
async function seen(client: Client, count: number): Promise<Enveloped[]> {
  return (await client.take(count)) as Enveloped[];
}

const placeOf = ({ channel, epoch, offset }: Placed): Placed => ({ channel, epoch, offset });

async function nextBroker(hub: HubProcess, before = 0): Promise<number> {
  return eventually(() => {
    const ready = hub.log.filter(({ msg }) => msg === 'broker ready').at(-1);
    const pid = Number(ready?.['brokerPid'] ?? 0);
    return pid === before || pid === 0 ? undefined : pid;
  }, 'a broker');
}

describe('publishing to a channel with history', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env });
  });
  after(() => hub.end());

  it('answers the position that subscribers on both workers see, from either port', async () => {
    const clients = await connectApart(hub, 'kept:positions?envelope=true');
    const answers: Placed[] = [];
    for (const n of range(1, 6)) {
      const port = n % 2 === 0 ? hub.port : hub.opsPort;
      answers.push(placed(await post(hub, 'kept:positions', n, undefined, port)));
    }
    for (const client of clients) {
      const own = await seen(client, 6);
      assert.deepEqual(own.map(placeOf), answers);
      assert.deepEqual(
        own.map(({ data }) => data),
        range(1, 6),
      );
      await client.close();
    }
  });

  it('answers the same position for the same key, and delivers it once', async () => {
    const clients = await connectApart(hub, 'kept:keys?envelope=true');
    const first = placed(await post(hub, 'kept:keys', 'first', 'k'));
    assert.deepEqual(placed(await post(hub, 'kept:keys', 'again', 'k', hub.port)), first);
    assert.deepEqual(
      await Promise.all(range(1, 5).map(async () => placed(await post(hub, 'kept:keys', 'at once', 'l')))),
      range(1, 5).map(() => ({ ...first, offset: 2 })),
    );
    const longest = 'ü'.repeat(127) + 'x';
    const header = Buffer.from(longest).toString('latin1'); // its bytes, each as one character
    assert.equal(placed(await post(hub, 'kept:keys', 'long', header)).offset, 3);
    const batch = await postAll(hub, [
      { channels: ['kept:keys', 'kept:keys'], data: 'batch', idempotencyKey: 'm' },
      { channel: 'kept:keys', data: 'long again', idempotencyKey: longest },
      { channel: 'kept:other', data: 'the same key in another channel', idempotencyKey: 'k' },
    ]);
    const other = (batch.body as Placed[])[3];
    assert.deepEqual(batch.body, [
      { ...first, offset: 4 },
      { ...first, offset: 4 },
      { ...first, offset: 3 },
      { channel: 'kept:other', epoch: other?.epoch, offset: 1 },
    ]);
    await post(hub, 'kept:keys', 'last');
    for (const client of clients) {
      const own = await seen(client, 5);
      assert.deepEqual(
        own.map(({ data }) => data),
        ['first', 'at once', 'long', 'batch', 'last'],
      );
      await client.close();
    }
  });

  it('refuses keys of another form, and keys for channels without history', async () => {
    for (const key of ['', 'x'.repeat(256), '\u00ff']) {
      const answer = await post(hub, 'kept:refused', 1, key);
      assert.deepEqual([answer.status, codeOf(answer)], [400, 'bad_request'], key);
    }
    assert.equal(codeOf(await post(hub, 'plain', 1, 'k')), 'bad_request');
    const items = ['', 'x'.repeat(256), 7, null, '\ud800'].map((idempotencyKey) => ({
      channel: 'kept:refused',
      data: 1,
      idempotencyKey,
    }));
    const { body } = await postAll(hub, [...items, { channel: 'plain', data: 1, idempotencyKey: 'k' }]);
    assert.deepEqual(
      (body as { error?: { code: string } }[]).map(({ error }) => error?.code),
      [...items, 0].map(() => 'bad_request'),
    );
    assert.equal(placed(await post(hub, 'kept:refused', 'the first')).offset, 1);
  });

  it('keeps the order of a batch in each channel, and answers with positions where there are any', async () => {
    const [client] = await connectApart(hub, 'kept:batch?envelope=true');
    const [plain] = await connectApart(hub, 'plain');
    const items = range(1, 2_000).map((n) => ({ channels: ['kept:batch', 'plain'], data: n }));
    const { status, body } = await postAll(hub, [...items, { channel: '', data: 0 }]);
    assert.equal(status, 200);
    const answers = body as Placed[];
    const own = await seen(client, 2_000);
    assert.deepEqual(
      own.map(({ data }) => data),
      range(1, 2_000),
    );
    assert.deepEqual(
      answers.filter(({ channel }) => channel === 'kept:batch'),
      own.map(placeOf),
    );
    assert.deepEqual(answers[1], { channel: 'plain' });
    assert.deepEqual(codeOf({ status, headers: {}, body: answers.at(-1) }), 'bad_channel');
    assert.deepEqual(await plain.take(2_000), range(1, 2_000));
    for (const each of [client, plain]) await each.close();
  });
});

describe('a key', () => {
  it('is known over the death of the broker and of a worker', async (t) => {
    const hub = await hubFor(t, { env });
    const clients = await connectApart(hub, 'kept:room?envelope=true');
    const first = placed(await post(hub, 'kept:room', 'first', 'k'));
    const pid = await nextBroker(hub);
    process.kill(pid, 'SIGKILL');
    const between = post(hub, 'kept:room', 'between', 'l'); // waits for the next one
    await nextBroker(hub, pid);
    assert.deepEqual(placed(await between), { ...first, offset: 2 });
    assert.deepEqual(placed(await post(hub, 'kept:room', 'first again', 'k')), first);
    assert.deepEqual(placed(await post(hub, 'kept:room', 'between again', 'l')), { ...first, offset: 2 });
    for (const client of clients) {
      assert.deepEqual(
        (await seen(client, 2)).map(({ data }) => data),
        ['first', 'between'],
      );
    }
    // Publications of a back end go through the worker of the first slot.
    const state = (await hub.admin('GET', '/state')).body as {
      workers: { workerId: string; slot: number }[];
    };
    const server = state.workers.find(({ slot }) => slot === 0)?.workerId ?? '';
    process.kill(hub.pidOf(server), 'SIGKILL');
    await hub.logged('worker died');
    const again = await eventually(async () => {
      const answer = await post(hub, 'kept:room', 'first, once more', 'k');
      return answer.status === 202 ? placed(answer) : undefined;
    }, 'a publication');
    assert.deepEqual(again, first);
    assert.equal(placed(await post(hub, 'kept:room', 'third')).offset, 3);
    const survivor = clients.find(({ workerId }) => workerId !== server);
    assert.ok(survivor);
    assert.equal((await seen(survivor, 1))[0]?.data, 'third');
  });

  it('makes a publication with an unknown outcome safe to repeat', async (t) => {
    const hub = await hubFor(t, { workers: 1, env });
    const pid = await nextBroker(hub);
    process.kill(pid, 'SIGSTOP');
    const batch = postAll(hub, [{ channel: 'kept:room', data: 'batch', idempotencyKey: 'l' }]);
    const answer = await post(hub, 'kept:room', 'once', 'k');
    assert.deepEqual([answer.status, codeOf(answer)], [504, 'worker_timeout']);
    assert.match(JSON.stringify(answer.body), /the broker did not answer .*outcome unknown/);
    process.kill(pid, 'SIGCONT');
    const [waited] = (await batch).body as [Placed];
    const offsets = [
      placed(await post(hub, 'kept:room', 'once', 'k')).offset,
      placed(await post(hub, 'kept:room', 'batch', 'l')).offset,
    ];
    assert.deepEqual(offsets.toSorted(), [1, 2]);
    assert.equal(waited.offset, offsets[1]);
    assert.equal(placed(await post(hub, 'kept:room', 'last')).offset, 3);
  });
});

interface History {
  channel: string;
  epoch: string;
  offset: number;
  messages: { offset: number; time: number; data: unknown; connectionId?: string; user?: string }[];
  truncated: boolean;
}

describe('GET and DELETE /channels/:channel/history', () => {
  let hub: HubProcess;
  before(async () => {
    hub = await startHub({ env });
  });
  after(() => hub.end());

  const path = (channel: string) => `/channels/${encodeURIComponent(channel)}/history`;

  async function read(channel: string, query = '', port = hub.opsPort): Promise<History> {
    const { status, body } = await hub.admin('GET', `${path(channel)}${query}`, { port });
    assert.equal(status, 200, JSON.stringify(body));
    return body as History;
  }

  it('reads what is kept forward and back, from either port', async () => {
    const [one, other] = await connectApart(hub, 'kept:pages?envelope=true');
    const from = Date.now() - 60_000; // the broker's clock only grows
    one.send({ n: 1 });
    await other.take(1);
    await post(hub, 'kept:pages', 'of a back end');
    for (const n of range(3, 120)) other.send(n);
    const own = [...(await seen(one, 1)), ...(await seen(one, 119))];
    const epoch = own[0]?.epoch ?? '';
    const data = own.map((message) => message.data);
    for (const port of [hub.opsPort, hub.port]) {
      const all = await read('kept:pages', '?limit=1000', port);
      assert.deepEqual([all.channel, all.epoch, all.offset], ['kept:pages', epoch, 120]);
      assert.deepEqual(
        all.messages.map(({ offset, data: stored }) => [offset, stored]),
        range(21, 120).map((offset) => [offset, data[offset - 1]]), // 100 are kept
      );
      assert.equal(all.truncated, false);
      assert.ok(all.messages.every(({ time }) => Number.isInteger(time) && time > from));
      assert.equal(all.messages[0]?.connectionId, other.connectionId);
      const offsets = async (query: string) => {
        const { messages, truncated } = await read('kept:pages', query, port);
        return [messages.map(({ offset }) => offset), truncated];
      };
      assert.deepEqual(await offsets('?limit=3'), [[21, 22, 23], true]);
      assert.deepEqual(await offsets(`?limit=3&since=${epoch}:23`), [[24, 25, 26], true]);
      assert.deepEqual(await offsets(`?limit=3&since=${epoch}:117`), [[118, 119, 120], false]);
      assert.deepEqual(await offsets(`?since=${epoch}:120`), [[], false]);
      assert.deepEqual(await offsets('?limit=3&reverse=true'), [[120, 119, 118], true]);
      assert.deepEqual(await offsets(`?limit=3&reverse=true&since=${epoch}:118`), [[117, 116, 115], true]);
      assert.deepEqual(await offsets(`?limit=3&reverse=true&since=${epoch}:23`), [[22, 21], false]);
      for (const unknown of [`${epoch}:19`, `${epoch}:121`, 'other:5']) {
        assert.deepEqual(await offsets(`?since=${unknown}`), [[], true], unknown);
      }
    }
    for (const client of [one, other]) await client.close();
  });

  it('has the bytes of each message as they were sent', async () => {
    const texts = ['{"n": 1e0}', '[ "ü", "\\u00fc" ]', 'null', '12345678901234567890'];
    for (const body of texts) await hub.admin('POST', '/channels/kept%3Abytes/messages', { body });
    const response = await fetch(`http://127.0.0.1:${hub.opsPort}${path('kept:bytes')}`, {
      headers: { authorization: `Bearer ${hub.token}` },
    });
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
    const body = await response.text();
    const timeless = body.replaceAll(/"time":\d+/g, '"time":0');
    for (const [index, text] of texts.entries()) {
      const message = `{"offset":${index + 1},"time":0,"data":${text}}`;
      assert.ok(timeless.includes(message), `${message} in ${body}`);
    }
  });

  it('is empty for a channel that was never used, with a position', async () => {
    const { epoch, ...answer } = await read('kept:new');
    assert.deepEqual(answer, { channel: 'kept:new', offset: 0, messages: [], truncated: false });
    assert.equal(placed(await post(hub, 'kept:new', 1)).epoch, epoch);
  });

  it('empties it, and subscribers notice nothing', async () => {
    const clients = await connectApart(hub, 'kept:removed?envelope=true');
    for (const n of range(1, 3)) await post(hub, 'kept:removed', n);
    const [{ epoch }] = (await seen(clients[0], 3)) as [Enveloped];
    await seen(clients[1], 3);
    const { status, body } = await hub.admin('DELETE', path('kept:removed'));
    assert.deepEqual([status, body], [200, { channel: 'kept:removed', epoch, offset: 3 }]);
    const line = await hub.logged('admin action', { action: 'remove_history' });
    assert.equal(line.level, 'info');
    const empty = { channel: 'kept:removed', epoch, offset: 3, messages: [] };
    assert.deepEqual(await read('kept:removed'), { ...empty, truncated: false });
    assert.deepEqual(await read('kept:removed', `?since=${epoch}:1`), { ...empty, truncated: true });
    assert.deepEqual(await read('kept:removed', `?since=${epoch}:3`), { ...empty, truncated: false });
    assert.equal(placed(await post(hub, 'kept:removed', 4)).offset, 4);
    for (const client of clients) {
      assert.deepEqual((await seen(client, 1)).map(placeOf), [{ channel: 'kept:removed', epoch, offset: 4 }]);
      assert.equal(client.received.length, 4);
      await client.close();
    }
    const { messages } = await read('kept:removed', `?since=${epoch}:3`);
    assert.deepEqual(
      messages.map(({ data }) => data),
      [4],
    );
  });

  it('refuses channels without history, and queries of another form', async () => {
    for (const [method, asked, code] of [
      ['GET', path('plain'), 'bad_request'],
      ['DELETE', path('plain'), 'bad_request'],
      ['GET', `${path('kept:a')}?since=5`, 'bad_query'],
      ['GET', `${path('kept:a')}?since=`, 'bad_query'],
      ['GET', `${path('kept:a')}?since=a:b`, 'bad_query'],
      ['GET', `${path('kept:a')}?limit=0`, 'bad_query'],
      ['GET', `${path('kept:a')}?limit=1001`, 'bad_query'],
      ['GET', `${path('kept:a')}?reverse=1`, 'bad_query'],
    ] as const) {
      const answer = await hub.admin(method, asked);
      assert.deepEqual([answer.status, codeOf(answer)], [400, code], asked);
    }
  });
});
