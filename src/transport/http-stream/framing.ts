/** Frames the messages of HTTP streams. JSON has no line feeds in it. */
import type { MessageFraming, MessageParts } from '../../protocol/protocol.ts';

const carriageReturn = 0x0d;
const lineEnd = Buffer.from('\n');
const eventStart = Buffer.from('data: ');
const eventEnd = Buffer.from('\n\n');

/** Frames messages that say where they end. */
export const joined: MessageFraming = { frame: (messages) => Buffer.concat(messages.flat()) };

/** Frames each message as a line. */
export const lines: MessageFraming = {
  frame: (messages) => Buffer.concat(messages.flatMap((parts) => [...parts, lineEnd])),
};

/** Frames each message as a server-sent event. */
export const events: MessageFraming = {
  frame: (messages) =>
    Buffer.concat(messages.flatMap((parts) => [eventStart, ...onOneLine(parts), eventEnd])),
};

/** A carriage return would end the line of an event. In JSON it stands only between tokens, where a blank means the same. */
function onOneLine(parts: MessageParts): MessageParts {
  return parts.map((part) =>
    part.includes(carriageReturn) ? Buffer.from(part.toString().replaceAll('\r', ' ')) : part,
  );
}
