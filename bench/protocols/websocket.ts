// RFC 6455 as a client speaks it, by hand: handshake, masked frames out, a walk over the frame headers coming in.
// What a message looks like inside a frame and what makes a client joined is the server's dialect.
import { blankMessage, messageBytes, stampOffset } from '../generator/message.ts';
import type { Link, Protocol, Publication } from './protocol.ts';

export interface Dialect {
  path(channel: string): string;
  /** What stands before and after the JSON in the payload of a message. */
  readonly prefix: string;
  readonly suffix: string;
  /** The handshake is answered. */
  onUpgrade(link: Link): void;
  /** A text frame that is not a message of the workload. */
  onText(link: Link, text: string): void;
}

const opcodes = { text: 1, close: 8, ping: 9, pong: 10 } as const;
const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const crlf2 = Buffer.from('\r\n\r\n');
const normalClosure = 1000;

export function maskedFrame(opcode: number, payload: Buffer): Buffer {
  const short = payload.length < 126;
  const head = Buffer.alloc(short ? 2 : 4);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (short ? payload.length : 126);
  if (!short) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ (mask[i & 3] ?? 0))]);
}

export function textFrame(text: string): Buffer {
  return maskedFrame(opcodes.text, Buffer.from(text));
}

/** A text frame with a stamp at this place of its payload. */
export function maskedTextFrame(payload: string, phase: number): Publication {
  const bytes = textFrame(payload);
  return { bytes, mask, phase, stampAt: bytes.length - payload.length + phase };
}

function closeFrame(): Buffer {
  const code = Buffer.alloc(2);
  code.writeUInt16BE(normalClosure);
  return maskedFrame(opcodes.close, code);
}

/** What a client sends before it leaves. */
export const farewell = closeFrame();

export function handshake(path: string, port: number): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  );
}

/** Called with what a walk finds. */
export interface FrameReceiver {
  /** The handshake is answered. */
  upgraded(): void;
  /** A text frame, with its payload at these places of the buffer. */
  text(start: number, end: number): void;
}

/** Walks the handshake and the whole frames; answers where the first unfinished one begins. */
export function eachFrame(
  link: Link,
  buffer: Buffer,
  from: number,
  to: number,
  receiver: FrameReceiver,
): number {
  if (link.greeted) return walkFrames(link, buffer, from, to, receiver);
  const end = buffer.subarray(from, to).indexOf(crlf2);
  if (end < 0) return from;
  const statusLine = buffer.toString('latin1', from, buffer.indexOf(10, from)).trim();
  if (!statusLine.includes(' 101 ')) {
    link.failed(statusLine);
    return to;
  }
  link.greeted = true;
  receiver.upgraded();
  return walkFrames(link, buffer, from + end + crlf2.length, to, receiver);
}

function walkFrames(link: Link, buffer: Buffer, from: number, to: number, receiver: FrameReceiver): number {
  let at = from;
  while (to - at >= 2) {
    const opcode = (buffer[at] ?? 0) & 0x0f;
    let length = (buffer[at + 1] ?? 0) & 0x7f;
    let body = at + 2;
    if (length === 127) throw new Error('a frame of 64 KB or more is none of ours');
    if (length === 126) {
      if (to - at < 4) break;
      length = ((buffer[at + 2] ?? 0) << 8) | (buffer[at + 3] ?? 0);
      body = at + 4;
    }
    const end = body + length;
    if (end > to) break;
    if (opcode === opcodes.text) receiver.text(body, end);
    else if (opcode === opcodes.ping) link.write(maskedFrame(opcodes.pong, buffer.subarray(body, end)));
    else if (opcode === opcodes.close) link.failed(`closed with ${buffer.toString('latin1', body + 2, end)}`);
    at = end;
  }
  return at;
}

export function websocket(dialect: Dialect): Protocol {
  const inPayload = dialect.prefix.length + stampOffset;
  const deliveryBytes = dialect.prefix.length + messageBytes + dialect.suffix.length;
  const publication = maskedTextFrame(dialect.prefix + blankMessage + dialect.suffix, inPayload);
  return {
    greeting: (channel, port) => handshake(dialect.path(channel), port),
    publication: () => publication,
    farewell,
    walk: (link, buffer, from, to) =>
      eachFrame(link, buffer, from, to, {
        upgraded: () => {
          dialect.onUpgrade(link);
        },
        text: (start, end) => {
          // What a server says first may happen to be as long as a message.
          if (end - start === deliveryBytes && link.isJoined) link.delivered(buffer, start + inPayload);
          else dialect.onText(link, buffer.toString('utf8', start, end));
        },
      }),
  };
}
