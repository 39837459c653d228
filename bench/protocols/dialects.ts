// What the WebSocket servers do differently inside the frames.
import { textFrame, type Dialect } from './websocket.ts';

/** The hub and the plain ws cluster: the channel is the path, the first message says that the client is on it. */
export const firstMessageJoins: Dialect = {
  path: (channel) => `/${channel}`,
  prefix: '',
  suffix: '',
  onUpgrade: () => undefined,
  onText(link, text) {
    if (text.startsWith('{"status":"connected"')) link.joined(text);
    else if (text.startsWith('{"error"') || text.startsWith('{"status":"disconnected"')) link.failed(text);
  },
};

/** Nchan: the channel is the path, an answered handshake is all that it says. */
export const upgradeJoins: Dialect = {
  path: (channel) => `/${channel}`,
  prefix: '',
  suffix: '',
  onUpgrade(link) {
    link.joined('');
  },
  onText: () => undefined,
};

/** Socket.IO 4 (Engine.IO 4): the channel is a query parameter, a message is the event "m". */
export const socketio: Dialect = {
  path: (channel) => `/socket.io/?EIO=4&transport=websocket&channel=${channel}`,
  prefix: '42["m",',
  suffix: ']',
  onUpgrade: () => undefined,
  onText(link, text) {
    if (text.startsWith('0')) link.write(textFrame('40'));
    else if (text === '2') link.write(textFrame('3'));
    else if (text.startsWith('42["connected"')) link.joined(text);
    else if (text.startsWith('44')) link.failed(text);
  },
};
