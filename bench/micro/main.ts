// The hot structures alone, without sockets or processes: nanoseconds per operation, the median of several rounds. Last
// what a new channel costs the sibling that learns of it, over a real link.
import { Publication } from '../../src/channel/publication.ts';
import { FanOut } from '../../src/channel/fan-out.ts';
import { batchingLimits } from '../../src/channel/batching.ts';
import { Registry } from '../../src/channel/registry.ts';
import type { Member, WriteResult } from '../../src/channel/channel.ts';
import { Counters } from '../../src/metrics/counters.ts';
import { FrameReader } from '../../src/transport/websocket/frame-reader.ts';
import { PlainProtocol } from '../../src/protocol/plain/plain-protocol.ts';
import { textFraming } from '../../src/transport/websocket/frame-writer.ts';
import { FrameDecoder, type FrameReceiver } from '../../src/relay/mesh/frame-decoder.ts';
import { FrameEncoder } from '../../src/relay/mesh/frame-encoder.ts';
import { clientFrame } from '../../test/client-frame.ts';
import { siblingCost } from './sibling.ts';

const rounds = 9;
const payload = Buffer.alloc(128, 'x');

const plainWebSocket = new PlainProtocol(textFraming);

/** Takes bytes and forgets them. */
class Sink implements Member {
  number = 0;
  readonly encoder = plainWebSocket;
  bytes = 0;

  write(frames: Buffer): WriteResult {
    this.bytes += frames.length;
    return 'sent';
  }
}

function registryOf(channels: number, membersEach: number): Registry<Sink> {
  const nothing = () => undefined;
  const registry = new Registry<Sink>({ opened: nothing, closed: nothing });
  for (let channel = 0; channel < channels; channel += 1) {
    for (let member = 0; member < membersEach; member += 1) {
      registry.subscribe(registry.reserve(`channel ${channel}`), new Sink());
    }
  }
  return registry;
}

function fanout(): FanOut<Sink> {
  return new FanOut<Sink>({
    audience: () => 0,
    batching: batchingLimits(0),
    onSlow: () => undefined,
    onCongested: () => undefined,
    onTraced: null,
    counters: new Counters(),
  });
}

/** Publishes to channels in turn; one flush for each `batch` messages of a channel. */
function publishing(channels: number, members: number, batch: number): () => number {
  const registry = registryOf(channels, members);
  const out = fanout();
  const names = Array.from({ length: channels }, (_, index) => `channel ${index}`);
  const publishes = Math.max(channels, 2_000);
  return () => {
    for (let index = 0; index < publishes; index += 1) {
      const channel = registry.get(names[index % channels] ?? '');
      if (!channel) throw new Error('the channel is there');
      for (let message = 0; message < batch; message += 1) out.push(channel, new Publication(payload, 'ws'));
      out.flush(Infinity); // to all, also where the hub would write in slices
    }
    return publishes * batch * members;
  };
}

function encoding(): () => number {
  const encoder = new FrameEncoder();
  return () => {
    for (let turn = 0; turn < 500; turn += 1) {
      for (let frame = 0; frame < 32; frame += 1) encoder.publish(frame, new Publication(payload, 'ws'), 0);
      encoder.recycle(encoder.take());
    }
    return 500 * 32;
  };
}

function decoding(): () => number {
  let seen = 0;
  const nothing = () => undefined;
  const receiver: FrameReceiver<null> = {
    hello: nothing,
    begin: nothing,
    add: nothing,
    drop: nothing,
    sync: nothing,
    ack: nothing,
    publication: () => (seen += 1),
    named: nothing,
    lost: nothing,
    hold: nothing,
    release: nothing,
    alive: nothing,
    probe: nothing,
    echo: nothing,
    connections: nothing,
    members: nothing,
    call: nothing,
    result: nothing,
    leaving: nothing,
    quiet: nothing,
  };
  const encoder = new FrameEncoder();
  encoder.json('hello', null);
  const decoder = new FrameDecoder(null, receiver);
  decoder.push(encoder.take());
  for (let frame = 0; frame < 32; frame += 1) encoder.publish(frame, new Publication(payload, 'ws'), 0);
  const chunk = encoder.take();
  return () => {
    seen = 0;
    for (let turn = 0; turn < 500; turn += 1) decoder.push(chunk);
    return seen;
  };
}

/** What clients send: 16 masked messages in one chunk. */
function reading(): () => number {
  const chunk = Buffer.concat(Array.from({ length: 16 }, () => clientFrame(0x81, payload)));
  const reader = new FrameReader();
  let seen = 0;
  const nothing = () => undefined;
  const receiver = { message: () => (seen += 1), ping: nothing, pong: nothing, peerClosed: nothing };
  return () => {
    seen = 0;
    for (let turn = 0; turn < 500; turn += 1) reader.readWhole(chunk, chunk.length, 64 * 1024, receiver);
    return seen;
  };
}

function joining(): () => number {
  const registry = registryOf(0, 0);
  return () => {
    for (let index = 0; index < 10_000; index += 1) {
      const member = new Sink();
      const channel = registry.reserve(`channel ${index}`);
      registry.subscribe(channel, member);
      registry.unsubscribe(channel, member);
    }
    return 10_000;
  };
}

/** The measured operations. Each function runs a round, and returns its number of operations. */
const benches: readonly (readonly [name: string, unit: string, prepare: () => () => number])[] = [
  ['link encoder', 'publish frame', encoding],
  ['link decoder', 'publish frame', decoding],
  ['client frame reader', 'message', reading],
  ['registry, join and leave of a new channel', 'join', joining],
  ['fan-out to 2 members, 1 message a flush', 'delivery', () => publishing(2_500, 2, 1)],
  ['fan-out to 75 members, 1 message a flush', 'delivery', () => publishing(1, 75, 1)],
  ['fan-out to 75 members, 16 messages a flush', 'delivery', () => publishing(1, 75, 16)],
  ['fan-out to 1 member, 100 channels', 'delivery', () => publishing(100, 1, 1)],
  ['fan-out to 1 member, 100 000 channels', 'delivery', () => publishing(100_000, 1, 1)],
];

for (const [name, unit, prepare] of benches) {
  const round = prepare();
  const results: number[] = [];
  for (let index = 0; index < rounds; index += 1) {
    const start = process.hrtime.bigint();
    const operations = round();
    results.push(Number(process.hrtime.bigint() - start) / operations);
  }
  results.sort((a, b) => a - b);
  const [median = 0, best = 0] = [results[rounds >> 1], results[0]];
  console.log(`${name.padEnd(46)} ${median.toFixed(0).padStart(6)} ns/${unit} (best ${best.toFixed(0)})`);
}

const { cpuUs, perSecond } = await siblingCost();
const share = ((cpuUs * perSecond) / 1e4).toFixed(1);
console.log(
  `new channels, at a sibling: ${cpuUs.toFixed(0)} µs of CPU each, ${share} % of a core at ${perSecond.toFixed(0)} a second`,
);
