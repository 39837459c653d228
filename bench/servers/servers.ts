// The table of servers, in the order in which they run.
import { nats } from './nats.ts';
import { nchan } from './nchan.ts';
import { bareNet, socketio, wsCluster } from './node-peers.ts';
import type { Server } from './server.ts';
import { wshub } from './wshub.ts';

export const servers: readonly Server[] = [wshub, wsCluster, socketio, bareNet, nchan, nats];

/** The one that the others are compared with. */
export const baseline = wsCluster;
