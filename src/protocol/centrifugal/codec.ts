/** An encoding of the Centrifugal protocol. It has no state of a client, and knows no transport. */
import type { Publication } from '../../channel/publication.ts';
import type { MessageParts } from '../protocol.ts';
import type { Command, Outgoing, Pong } from './messages.ts';

export interface Codec {
  /** its messages travel in binary messages of a WebSocket */
  readonly isBinary: boolean;
  /** the client sends only its `connect`; absent: it sends commands, and gets replies */
  readonly isUnidirectional?: true;
  /**
   * Decodes the commands of one message of a transport.
   * @throws {DecodeError} while it yields
   */
  decode(data: Buffer): Iterable<Command | Pong>;
  /** Encodes a `Reply` of schema.ts: a reply, or a push. */
  encode(reply: Outgoing): MessageParts;
  /** Encodes publications as pushes to the subscribers of their channel. */
  publications(channel: string, publications: readonly Publication[]): MessageParts[];
}

/** A client has sent bytes that are not a message of the protocol. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

/** Names of commands, in the order in which a server looks for them. */
export const commandKinds = [
  'connect',
  'ping',
  'subscribe',
  'unsubscribe',
  'publish',
  'presence',
  'presence_stats',
  'history',
  'rpc',
  'send',
  'refresh',
  'sub_refresh',
] as const;
