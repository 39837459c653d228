/**
 * Appends frames of frame.ts to one growing buffer, so that all frames of a turn leave in one write. Knows no socket.
 */
import { headBytes, lengthBytes } from '../mesh/frame.ts';
import type { PresenceStats, PresentMember } from '../../channel/member.ts';
import type { Append, Page, Position, Range, Stored } from '../../engine/engine.ts';
import {
  appendFlags,
  brokerLinkVersion,
  fixedBytes,
  frameTypes,
  memberEventKinds,
  pageDirections,
  pageFlags,
  placedFlags,
  subscribedFlags,
  type FrameType,
} from './frame.ts';

const initialBytes = 64 * 1024;
/** a larger buffer is released after its write */
const maxKeptBytes = 1024 * 1024;
const none: Position = { epoch: '', offset: 0 };
const noBytes = Buffer.alloc(0);

export class FrameWriter {
  #buffer = Buffer.allocUnsafeSlow(initialBytes);
  #start = 0;
  #end = 0;

  /** Number of bytes that the next `take` returns. */
  get pendingBytes(): number {
    return this.#end;
  }

  /**
   * Returns all frames since the last call. The bytes stay valid until `recycle`; without a call of `recycle` the
   * writer allocates a new buffer.
   */
  take(): Buffer {
    const frames = this.#buffer.subarray(0, this.#end);
    this.#buffer = noBytes;
    this.#end = 0;
    return frames;
  }

  /** Returns a taken buffer to the writer. It must not be read afterwards. */
  recycle(frames: Buffer): void {
    if (this.#end > 0 || frames.buffer.byteLength > maxKeptBytes) return;
    this.#buffer = Buffer.from(frames.buffer as ArrayBuffer);
  }

  json(type: 'hello' | 'welcome', value: unknown): void {
    const text = JSON.stringify(value);
    this.#begin(frameTypes[type], 3 * text.length);
    this.#rest(text, 'utf8');
  }

  append(append: Append, wantsPosition: boolean): void {
    const { channel, key, meta, trace, payload } = append;
    const most = 3 * channel.length + 3 * key.length + meta.length + trace.length + payload.length;
    this.#begin(frameTypes.append, most);
    this.#u48(append.number);
    this.#u8(wantsPosition ? appendFlags.wantsPosition : 0);
    this.#u48(append.sender);
    this.#f64(append.readAt);
    this.#text8(channel, 'utf8');
    this.#text8(key, 'utf8');
    this.#bytes16(meta);
    this.#bytes8(trace);
    this.#restBytes(payload);
  }

  subscribe(channelId: number, name: string, since: Position | null): void {
    this.#begin(frameTypes.subscribe, 3 * name.length);
    this.#u48(channelId);
    this.#position(since ?? none);
    this.#rest(name, 'utf8');
  }

  unsubscribe(channelId: number): void {
    this.#begin(frameTypes.unsubscribe, 0);
    this.#u48(channelId);
    this.#finish();
  }

  read(request: number, name: string, { since, limit, limitBytes, page }: Range): void {
    this.#begin(frameTypes.read, 3 * name.length);
    this.#u48(request);
    this.#position(since ?? none);
    this.#u32(limit);
    this.#u32(limitBytes);
    this.#u8(page ? pageDirections[page] : 0);
    this.#rest(name, 'utf8');
  }

  remove(request: number, name: string): void {
    this.#begin(frameTypes.remove, 3 * name.length);
    this.#u48(request);
    this.#rest(name, 'utf8');
  }

  /** @param flags see `enterFlags` */
  enter(member: number, flags: number, channel: string, entered: PresentMember): void {
    this.#begin(frameTypes.enter, 3 * channel.length + memberBytes(entered));
    this.#u48(member);
    this.#u8(flags);
    this.#text8(channel, 'utf8');
    this.#member(entered);
  }

  leave(member: number): void {
    this.#begin(frameTypes.leave, 0);
    this.#u48(member);
    this.#finish();
  }

  told(): void {
    this.#begin(frameTypes.told, 0);
    this.#finish();
  }

  watch(watch: number, name: string): void {
    this.#begin(frameTypes.watch, 3 * name.length);
    this.#u48(watch);
    this.#rest(name, 'utf8');
  }

  unwatch(watch: number): void {
    this.#begin(frameTypes.unwatch, 0);
    this.#u48(watch);
    this.#finish();
  }

  members(request: number, limit: number, name: string): void {
    this.#begin(frameTypes.members, 3 * name.length);
    this.#u48(request);
    this.#u32(limit);
    this.#rest(name, 'utf8');
  }

  handles(isReady: boolean): void {
    this.#begin(frameTypes.handles, 0);
    this.#u8(isReady ? 1 : 0);
    this.#finish();
  }

  handled(event: number): void {
    this.#begin(frameTypes.handled, 0);
    this.#u48(event);
    this.#finish();
  }

  event(
    event: number,
    kind: keyof typeof memberEventKinds,
    id: string,
    channel: string,
    member: PresentMember,
  ): void {
    this.#begin(frameTypes.event, id.length + 3 * channel.length + memberBytes(member));
    this.#u48(event);
    this.#u8(memberEventKinds[kind]);
    this.#text8(id, 'latin1');
    this.#text8(channel, 'utf8');
    this.#member(member);
  }

  settled(member: number, kind: 'joined' | 'left'): void {
    this.#begin(frameTypes.settled, 0);
    this.#u48(member);
    this.#u8(memberEventKinds[kind]);
    this.#finish();
  }

  /** @param id of a watch or a request */
  member(id: number, member: PresentMember): void {
    this.#begin(frameTypes.member, memberBytes(member));
    this.#u48(id);
    this.#member(member);
  }

  watched(watch: number): void {
    this.#begin(frameTypes.watched, 0);
    this.#u48(watch);
    this.#finish();
  }

  counted(request: number, { connections, users }: PresenceStats): void {
    this.#begin(frameTypes.counted, 0);
    this.#u48(request);
    this.#u32(connections);
    this.#u32(users);
    this.#finish();
  }

  joined(watch: number, member: PresentMember): void {
    this.#begin(frameTypes.joined, memberBytes(member));
    this.#u48(watch);
    this.#member(member);
  }

  left(watch: number, connectionId: string): void {
    this.#begin(frameTypes.left, connectionId.length);
    this.#u48(watch);
    this.#rest(connectionId, 'latin1');
  }

  subscribed(channelId: number, position: Position, hasGap: boolean): void {
    this.#begin(frameTypes.subscribed, 0);
    this.#u48(channelId);
    this.#u8(hasGap ? subscribedFlags.gap : 0);
    this.#position(position);
    this.#finish();
  }

  /** @param sender 0: the sender is not on that worker */
  publication(channelId: number, offset: number, time: number, sender: number, live: Append): void {
    const { meta, trace, payload } = live;
    this.#begin(frameTypes.publication, meta.length + trace.length + payload.length);
    this.#publicationHead(channelId, offset, time, sender, live.readAt);
    this.#bytes16(meta);
    this.#bytes8(trace);
    this.#restBytes(payload);
  }

  /** Appends a missed publication from the history. No sender is excluded. */
  stored(channelId: number, { offset, time, meta, payload }: Stored): void {
    this.#begin(frameTypes.publication, meta.length + payload.length);
    this.#publicationHead(channelId, offset, time, 0, 0);
    this.#text16(meta);
    this.#bytes8(noBytes);
    this.#rest(payload, 'latin1');
  }

  follow(channelId: number, name: string): void {
    this.#begin(frameTypes.follow, 3 * name.length);
    this.#u48(channelId);
    this.#rest(name, 'utf8');
  }

  unfollow(channelId: number): void {
    this.#begin(frameTypes.unfollow, 0);
    this.#u48(channelId);
    this.#finish();
  }

  relay(name: string, trace: Buffer, payload: Buffer): void {
    this.#begin(frameTypes.relay, 3 * name.length + trace.length + payload.length);
    this.#text8(name, 'utf8');
    this.#bytes8(trace);
    this.#restBytes(payload);
  }

  followed(channelId: number): void {
    this.#begin(frameTypes.followed, 0);
    this.#u48(channelId);
    this.#finish();
  }

  relayed(channelId: number, trace: Buffer, payload: Buffer): void {
    this.#begin(frameTypes.relayed, trace.length + payload.length);
    this.#u48(channelId);
    this.#bytes8(trace);
    this.#restBytes(payload);
  }

  engine(isReached: boolean): void {
    this.#begin(frameTypes.engine, 0);
    this.#u8(isReached ? 1 : 0);
    this.#finish();
  }

  /** @param position null: it is no longer known */
  placed(number: number, position: Position | null, duplicate: 'key' | 'retry' | null): void {
    this.#begin(frameTypes.placed, 0);
    this.#u48(number);
    this.#u8(duplicate === 'key' ? placedFlags.byKey : duplicate === 'retry' ? placedFlags.byRetry : 0);
    this.#position(position ?? none);
    this.#finish();
  }

  appended(number: number): void {
    this.#begin(frameTypes.appended, 0);
    this.#u48(number);
    this.#finish();
  }

  page(request: number, { messages, complete, top, more }: Page): void {
    for (const { offset, time, meta, payload } of messages) {
      this.#begin(frameTypes.message, meta.length + payload.length);
      this.#u48(request);
      this.#u48(offset);
      this.#f64(time);
      this.#text16(meta);
      this.#rest(payload, 'latin1');
    }
    this.#begin(frameTypes.page, 0);
    this.#u48(request);
    this.#u8((complete ? pageFlags.complete : 0) | (more === true ? pageFlags.more : 0));
    this.#position(top);
    this.#finish();
  }

  removed(request: number, top: Position): void {
    this.#begin(frameTypes.removed, 0);
    this.#u48(request);
    this.#position(top);
    this.#finish();
  }

  #publicationHead(channelId: number, offset: number, time: number, sender: number, readAt: number): void {
    this.#u48(channelId);
    this.#u48(offset);
    this.#f64(time);
    this.#u48(sender);
    this.#f64(readAt);
  }

  /** @param bytes upper limit of the variable fields */
  #begin(type: FrameType, bytes: number): void {
    this.#start = this.#end;
    const most = this.#end + headBytes + fixedBytes + bytes;
    if (most > this.#buffer.length) this.#grow(most);
    this.#buffer[this.#start + lengthBytes] = brokerLinkVersion;
    this.#buffer[this.#start + lengthBytes + 1] = type;
    this.#end = this.#start + headBytes;
  }

  #finish(): void {
    this.#buffer.writeUInt32BE(this.#end - this.#start - lengthBytes, this.#start);
  }

  #u8(value: number): void {
    this.#end = this.#buffer.writeUInt8(value, this.#end);
  }

  #u32(value: number): void {
    this.#end = this.#buffer.writeUInt32BE(value, this.#end);
  }

  #u48(value: number): void {
    this.#end = this.#buffer.writeUIntBE(value, this.#end, 6);
  }

  #f64(value: number): void {
    this.#end = this.#buffer.writeDoubleBE(value, this.#end);
  }

  #position({ epoch, offset }: Position): void {
    this.#text8(epoch, 'latin1');
    this.#u48(offset);
  }

  /** @throws {RangeError} the text is longer than 255 bytes */
  #text8(text: string, encoding: 'utf8' | 'latin1'): void {
    const written = this.#buffer.write(text, this.#end + 1, encoding);
    this.#buffer.writeUInt8(written, this.#end);
    this.#end += 1 + written;
  }

  #text16(text: string): void {
    this.#buffer.writeUInt16BE(text.length, this.#end);
    this.#end += 2 + this.#buffer.write(text, this.#end + 2, 'latin1');
  }

  /** Writes the last field of a frame. */
  #member({ connectionId, user, info, channelInfo }: PresentMember): void {
    this.#text8(connectionId, 'latin1');
    this.#utf8t16(user);
    this.#utf8t16(info);
    this.#rest(channelInfo, 'utf8');
  }

  #utf8t16(text: string): void {
    const written = this.#buffer.write(text, this.#end + 2);
    this.#buffer.writeUInt16BE(written, this.#end);
    this.#end += 2 + written;
  }

  #bytes8(bytes: Buffer): void {
    this.#buffer.writeUInt8(bytes.length, this.#end);
    this.#end += 1 + bytes.copy(this.#buffer, this.#end + 1);
  }

  #bytes16(bytes: Buffer): void {
    this.#buffer.writeUInt16BE(bytes.length, this.#end);
    this.#end += 2 + bytes.copy(this.#buffer, this.#end + 2);
  }

  #rest(text: string, encoding: 'utf8' | 'latin1'): void {
    this.#end += this.#buffer.write(text, this.#end, encoding);
    this.#finish();
  }

  #restBytes(bytes: Buffer): void {
    this.#end += bytes.copy(this.#buffer, this.#end);
    this.#finish();
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(initialBytes, 2 ** Math.ceil(Math.log2(bytes))));
    this.#buffer.copy(grown, 0, 0, this.#end);
    this.#buffer = grown;
  }
}

/** Upper limit of the bytes of a member. */
function memberBytes({ connectionId, user, info, channelInfo }: PresentMember): number {
  return connectionId.length + 3 * (user.length + info.length + channelInfo.length);
}
