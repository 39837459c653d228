// The table of servers, in the order in which they run.
import { nats } from './nats.ts';
import { nchan } from './nchan.ts';
import { bareNet, socketio, wsCluster } from './node-peers.ts';
import type { Server } from './server.ts';
import { wshub, wshubSdk } from './wshub.ts';

export const servers: readonly Server[] = [wshub, wshubSdk, wsCluster, socketio, bareNet, nchan, nats];

/** The one that the others are compared with. */
export const baseline = wsCluster;
