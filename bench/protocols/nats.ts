// The NATS text protocol: a channel is a subject, PONG says that the subscription stands.
import { blankMessage, messageBytes, stampOffset } from '../generator/message.ts';
import type { Link, Protocol } from './protocol.ts';

const newline = 10;
const letterM = 77; // MSG <subject> <sid> <bytes>: only messages begin with it
const options = '{"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}';
const noMask = Buffer.alloc(4);

function onLine(link: Link, line: string): void {
  if (line === 'PONG') link.joined(line);
  else if (line === 'PING') link.write('PONG\r\n');
  else if (line.startsWith('-ERR')) link.failed(line);
}

export const nats: Protocol = {
  greeting: (channel) => `CONNECT ${options}\r\nSUB ${channel} 1\r\nPING\r\n`,
  publication(channel) {
    const head = `PUB ${channel} ${messageBytes}\r\n`;
    const bytes = Buffer.from(`${head}${blankMessage}\r\n`);
    return { bytes, mask: noMask, phase: 0, stampAt: head.length + stampOffset };
  },
  farewell: Buffer.alloc(0),
  walk(link, buffer, from, to) {
    let at = from;
    while (at < to) {
      let end = at;
      while (end < to && buffer[end] !== newline) end++;
      if (end === to) break;
      if (buffer[at] === letterM) {
        const next = end + 1 + messageBytes + 2;
        if (next > to) break;
        link.delivered(buffer, end + 1 + stampOffset);
        at = next;
      } else {
        onLine(link, buffer.toString('latin1', at, end).trimEnd());
        at = end + 1;
      }
    }
    return at;
  },
};
