/**
 * A protocol encodes the messages of the hub for clients, and maps close reasons to its own close codes. It has no
 * state of a client: one object serves all clients of the protocol.
 */
import type { PublicationEncoder } from '../channel/channel.ts';
import type { PresentMember } from '../channel/member.ts';
import type { CloseReason } from '../platform/close-reasons.ts';
import type { ErrorCode } from '../platform/errors.ts';

/** Frames whole messages; each transport has one. */
export interface Framing {
  /** Frames one message. */
  frame(text: string): Buffer;
  /** Frames all payloads, in order, into one buffer. */
  frameAll(publications: readonly { readonly payload: Buffer }[]): Buffer;
}

/** One message, in parts that follow each other. */
export type MessageParts = readonly Buffer[];

/** Frames messages that are already encoded; each transport and encoding has one. */
export interface MessageFraming {
  /** Frames all messages, in order, into one buffer. */
  frame(messages: readonly MessageParts[]): Buffer;
}

/** When a client should reconnect: after a random time between these two, in milliseconds. */
export interface ReconnectDelay {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Encodes the messages of the hub to clients. An empty buffer: the protocol has no such message. */
export interface Protocol extends PublicationEncoder {
  /** the ping of the protocol; absent: the transport has its own */
  readonly ping?: Buffer;
  /** Encodes a message of a handler to one client; JSON. */
  message(text: string): Buffer;
  /** Encodes the answer to a message that was not accepted. */
  error(code: ErrorCode, message?: string): Buffer;
  /** Encodes the notice that `count` publications were skipped, because the client was slow. */
  skipped(count: number): Buffer;
  /** Encodes the notice that a member has joined a channel; see `memberEvents` of a subscription. */
  joined(channel: string, member: PresentMember): Buffer;
  /** Encodes the notice that a member has left a channel. */
  left(channel: string, member: PresentMember): Buffer;
  /** Encodes the notice that the worker is about to end. */
  draining(reconnect: ReconnectDelay): Buffer;
  /** Encodes the announcement that precedes the close frame. */
  disconnected(reason: CloseReason): Buffer;
  closeCode(reason: CloseReason): number;
}
