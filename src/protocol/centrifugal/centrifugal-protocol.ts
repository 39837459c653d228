/**
 * The Centrifugal protocol in one encoding over one kind of transport. It encodes the messages of the hub to clients; the
 * commands of clients are handled by session/.
 */
import type { PresentMember } from '../../channel/member.ts';
import type { Publication } from '../../channel/publication.ts';
import type { CloseReason } from '../../platform/close-reasons.ts';
import type { MessageFraming, Protocol } from '../protocol.ts';
import { closeCodes } from './codes.ts';
import type { Codec } from './codec.ts';
import { infoOfMember } from './publication.ts';
import type { Pushes, PushKind, ReplyError, ResultKind, Results } from './messages.ts';

const nothing = Buffer.alloc(0);

export class CentrifugalProtocol implements Protocol {
  readonly codec: Codec;
  /** an empty message; absent: the client cannot answer it, and the transport has its own */
  readonly ping?: Buffer;
  readonly #framing: MessageFraming;

  constructor(codec: Codec, framing: MessageFraming) {
    this.codec = codec;
    this.#framing = framing;
    if (!codec.isUnidirectional) this.ping = framing.frame([codec.encode({})]);
  }

  reply<Kind extends ResultKind>(id: number, kind: Kind, result: Results[Kind]): Buffer {
    return this.#framing.frame([this.codec.encode({ id, [kind]: result })]);
  }

  replyError(id: number, error: ReplyError): Buffer {
    return this.#framing.frame([this.codec.encode({ id, error })]);
  }

  /** @param channel `''`: it concerns the connection */
  push<Kind extends PushKind>(channel: string, kind: Kind, push: Pushes[Kind]): Buffer {
    return this.#framing.frame([this.codec.encode({ push: { channel, [kind]: push } })]);
  }

  publications(channel: string, publications: readonly Publication[]): Buffer {
    return this.#framing.frame(this.codec.publications(channel, publications));
  }

  joined(channel: string, member: PresentMember): Buffer {
    return this.push(channel, 'join', { info: infoOfMember(member) });
  }

  left(channel: string, member: PresentMember): Buffer {
    return this.push(channel, 'leave', { info: infoOfMember(member) });
  }

  message(text: string): Buffer {
    return this.push('', 'message', { data: Buffer.from(text) });
  }

  /** Nothing: errors are replies to commands, and the session sends them. */
  error(): Buffer {
    return nothing;
  }

  /** The protocol has no such push; the message is that of the plain protocol. */
  skipped(count: number): Buffer {
    return this.message(JSON.stringify({ status: 'skipped', count }));
  }

  /** Nothing: the close code says that the client should come back. */
  draining(): Buffer {
    return nothing;
  }

  /** Nothing: the close frame has the code and the reason. */
  disconnected(): Buffer {
    return nothing;
  }

  closeCode(reason: CloseReason): number {
    return closeCodes[reason];
  }
}
