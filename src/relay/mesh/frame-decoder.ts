/** Cuts a stream of chunks into the frames of frame.ts and passes each to its receiver. Knows no socket. */
import { Publication } from '../../channel/publication.ts';
import {
  countBytes,
  frameTypes,
  headBytes,
  idBytes,
  lengthBytes,
  linkVersion,
  maxFrameBytes,
  publicationBytes,
  publicationFlags,
} from './frame.ts';
import { traceContextBytes } from '../../tracing/trace-context.ts';

/**
 * Called for each frame. `source` is the value that the decoder was made with, so that one receiver serves all links.
 */
export interface FrameReceiver<S> {
  hello(source: S, value: unknown): void;
  begin(source: S): void;
  add(source: S, channelId: number, name: string): void;
  drop(source: S, channelId: number): void;
  sync(source: S, sequence: number): void;
  ack(source: S, sequence: number): void;
  /**
   * @param publication payload and trace context are views into the chunk; the trace context is not checked yet
   * @param handedAt see frame.ts
   */
  publication(source: S, channelId: number, publication: Publication, handedAt: number): void;
  /** Like `publication`, from a sibling that did not know whether this worker has subscribers on the channel. */
  named(source: S, name: string, publication: Publication, handedAt: number): void;
  /** Called in place of `count` dropped publications. */
  lost(source: S, channelId: number, count: number): void;
  /** The sibling asks for a pause of the channel until `release`. */
  hold(source: S, channelId: number): void;
  release(source: S, channelId: number): void;
  alive(source: S): void;
  probe(source: S, nonce: number): void;
  echo(source: S, nonce: number): void;
  /** total number of the sibling's connections */
  connections(source: S, total: number): void;
  /** number of the sibling's connections on one channel */
  members(source: S, channelId: number, count: number): void;
  call(source: S, value: unknown): void;
  result(source: S, value: unknown): void;
  leaving(source: S): void;
  quiet(source: S): void;
}

/** The peer violated the protocol of the link; the link must be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly kind: 'decode' | 'version';

  constructor(message: string, kind: 'decode' | 'version' = 'decode', options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/** Cuts a stream of chunks into frames. */
export class FrameDecoder<S> {
  readonly #source: S;
  readonly #receiver: FrameReceiver<S>;
  /** number of decoded frames */
  frames = 0;
  /** the hello was received; it must be the first frame, and there is only one */
  #greeted = false;
  /** chunks of an incomplete frame */
  #parts: Buffer[] = [];
  #partBytes = 0;
  /** length of the first frame in `#parts`; `lengthBytes` until its length field is complete */
  #wantedBytes = lengthBytes;

  constructor(source: S, receiver: FrameReceiver<S>) {
    this.#source = source;
    this.#receiver = receiver;
  }

  /** @throws {FrameError} the chunk is not valid; the decoder must not be used again */
  push(chunk: Buffer): void {
    if (this.#partBytes === 0) {
      this.#decode(chunk);
      return;
    }
    this.#parts.push(chunk);
    this.#partBytes += chunk.length;
    if (this.#partBytes < this.#wantedBytes) return;
    const joined = Buffer.concat(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#decode(joined);
  }

  #decode(bytes: Buffer): void {
    let at = 0;
    this.#wantedBytes = lengthBytes;
    while (bytes.length - at >= lengthBytes) {
      const end = at + lengthBytes + bytes.readUInt32BE(at);
      if (end - at < headBytes) throw new FrameError('a frame is shorter than its head');
      if (end - at > maxFrameBytes) throw new FrameError(`a frame of ${end - at} bytes is too large`);
      if (end > bytes.length) {
        this.#wantedBytes = end - at;
        break;
      }
      this.#frame(bytes, at + lengthBytes, end);
      at = end;
    }
    if (at < bytes.length) {
      this.#parts.push(bytes.subarray(at));
      this.#partBytes = bytes.length - at;
    }
  }

  #frame(bytes: Buffer, at: number, end: number): void {
    const version = bytes[at];
    const type = bytes[at + 1];
    const body = at + 2;
    if (version !== linkVersion) {
      throw new FrameError(`link version ${version ?? '?'} is not ${linkVersion}`, 'version');
    }
    if ((type === frameTypes.hello) === this.#greeted)
      throw new FrameError('a hello must come first, and once');
    this.#greeted = true;
    this.frames += 1;
    const source = this.#source;
    const receiver = this.#receiver;
    // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- a byte may be anything
    switch (type) {
      case frameTypes.publish:
        this.#publication(bytes, body, end);
        break;
      case frameTypes.named:
        this.#named(bytes, body, end);
        break;
      case frameTypes.lost:
        if (end - body !== idBytes + countBytes)
          throw new FrameError('a frame of a wrong length for its type');
        receiver.lost(source, bytes.readUIntBE(body, idBytes), bytes.readUInt32BE(body + idBytes));
        break;
      case frameTypes.hold:
        receiver.hold(source, number(bytes, body, end));
        break;
      case frameTypes.release:
        receiver.release(source, number(bytes, body, end));
        break;
      case frameTypes.alive:
        receiver.alive(source);
        break;
      case frameTypes.probe:
        receiver.probe(source, number(bytes, body, end));
        break;
      case frameTypes.echo:
        receiver.echo(source, number(bytes, body, end));
        break;
      case frameTypes.add:
        atLeast(end - body, idBytes + 1);
        receiver.add(source, bytes.readUIntBE(body, idBytes), bytes.toString('utf8', body + idBytes, end));
        break;
      case frameTypes.drop:
        receiver.drop(source, number(bytes, body, end));
        break;
      case frameTypes.begin:
        receiver.begin(source);
        break;
      case frameTypes.sync:
        receiver.sync(source, number(bytes, body, end));
        break;
      case frameTypes.ack:
        receiver.ack(source, number(bytes, body, end));
        break;
      case frameTypes.counts:
        this.#counts(bytes, body, end);
        break;
      case frameTypes.hello:
        receiver.hello(source, json(bytes, body, end));
        break;
      case frameTypes.call:
        receiver.call(source, json(bytes, body, end));
        break;
      case frameTypes.result:
        receiver.result(source, json(bytes, body, end));
        break;
      case frameTypes.leaving:
        receiver.leaving(source);
        break;
      case frameTypes.quiet:
        receiver.quiet(source);
        break;
      default:
        throw new FrameError(`frame type ${type ?? '?'} is unknown`);
    }
  }

  #publication(bytes: Buffer, body: number, end: number): void {
    const head = body + idBytes;
    const publication = publicationOf(bytes, head, end);
    const channelId = bytes.readUIntBE(body, idBytes);
    this.#receiver.publication(this.#source, channelId, publication, bytes.readDoubleBE(head + 1));
  }

  #named(bytes: Buffer, body: number, end: number): void {
    const name = body + 1;
    const head = name + (bytes[body] ?? 0);
    const publication = publicationOf(bytes, head, end);
    if (head === name) throw new FrameError('a publication without a name');
    const channel = bytes.toString('utf8', name, head);
    this.#receiver.named(this.#source, channel, publication, bytes.readDoubleBE(head + 1));
  }

  #counts(bytes: Buffer, body: number, end: number): void {
    atLeast(end - body, countBytes);
    this.#receiver.connections(this.#source, bytes.readUInt32BE(body));
    const entryBytes = idBytes + countBytes;
    if ((end - body - countBytes) % entryBytes !== 0) throw new FrameError('counts of a wrong length');
    for (let at = body + countBytes; at < end; at += entryBytes) {
      this.#receiver.members(this.#source, bytes.readUIntBE(at, idBytes), bytes.readUInt32BE(at + idBytes));
    }
  }
}

/** @param head offset of the flags; see frame.ts */
function publicationOf(bytes: Buffer, head: number, end: number): Publication {
  let at = head + publicationBytes;
  atLeast(end, at);
  const traced = ((bytes[head] ?? 0) & publicationFlags.traced) !== 0;
  if (traced) atLeast(end, at + traceContextBytes);
  const traceContext = traced ? bytes.subarray(at, (at += traceContextBytes)) : null;
  const readAt = bytes.readDoubleBE(head + 1) - bytes.readFloatBE(head + 9);
  const publication = new Publication(bytes.subarray(at, end), 'relay', null, readAt);
  if (traceContext !== null) publication.trace(traceContext);
  return publication;
}

function atLeast(bytes: number, wanted: number): void {
  if (bytes < wanted) throw new FrameError('a frame is shorter than its type');
}

function number(bytes: Buffer, body: number, end: number): number {
  if (end - body !== idBytes) throw new FrameError('a frame of a wrong length for its type');
  return bytes.readUIntBE(body, idBytes);
}

function json(bytes: Buffer, body: number, end: number): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', body, end));
  } catch (cause) {
    throw new FrameError('a frame that must hold JSON does not', 'decode', { cause });
  }
}
