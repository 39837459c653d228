// The Centrifugal protocol in JSON: the channel is in a command, several messages share a frame as lines.
import { blankMessage, messageBytes, stampOffset } from '../generator/message.ts';
import type { Link, Protocol } from './protocol.ts';
import { eachFrame, farewell, handshake, maskedTextFrame, textFrame } from './websocket.ts';

const newline = 10;
const path = '/connection/websocket';
const publishHead = (channel: string) => `{"id":3,"publish":{"channel":"${channel}","data":`;
const pushHead = (channel: string) => `{"push":{"channel":"${channel}","pub":{"data":`;

function onLine(link: Link, buffer: Buffer, from: number, to: number): void {
  const head = pushHead(link.channel).length;
  // A push is longer than everything else that the server says to a subscriber.
  if (link.isJoined && to - from >= head + messageBytes) {
    link.delivered(buffer, from + head + stampOffset);
    return;
  }
  const text = buffer.toString('latin1', from, to);
  if (text === '{}') link.write(textFrame('{}'));
  else if (text.startsWith('{"id":2,"subscribe"')) link.joined(text);
  else if (text.includes('"error"')) link.failed(text);
}

export const centrifugal: Protocol = {
  greeting: (_channel, port) => handshake(path, port),
  publication(channel) {
    const head = publishHead(channel);
    return maskedTextFrame(`${head}${blankMessage}}}`, head.length + stampOffset);
  },
  farewell,
  walk: (link, buffer, from, to) =>
    eachFrame(link, buffer, from, to, {
      upgraded() {
        const subscribe = `{"id":2,"subscribe":{"channel":"${link.channel}"}}`;
        link.write(textFrame(`{"id":1,"connect":{}}\n${subscribe}`));
      },
      text(start, end) {
        for (let at = start; at < end;) {
          const found = buffer.subarray(at, end).indexOf(newline);
          const lineEnd = found === -1 ? end : at + found;
          onLine(link, buffer, at, lineEnd);
          at = lineEnd + 1;
        }
      },
    }),
};
