// The table of protocols that the load generator can speak.
import { firstMessageJoins, socketio, upgradeJoins } from './dialects.ts';
import { centrifugal } from './centrifugal.ts';
import { nats } from './nats.ts';
import { websocket } from './websocket.ts';

export const protocols = {
  hub: websocket(firstMessageJoins),
  centrifugal,
  nchan: websocket(upgradeJoins),
  socketio: websocket(socketio),
  nats,
} as const;

export type ProtocolName = keyof typeof protocols;
