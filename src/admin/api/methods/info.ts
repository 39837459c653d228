/** Lists the workers as nodes: each counts its own clients, so that sums are right. */
import { z } from 'zod';
import { state as action } from '../../actions/state.ts';
import { defineMethod } from '../method.ts';

export const info = defineMethod({
  name: 'info',
  action,
  params: z.object({}),
  run: async (_params, { perform }) => {
    const { version, workers } = await perform(action.call({ limit: 1 }));
    const nodes = workers.map((worker) => ({
      uid: worker.workerId,
      name: `wshub_${worker.slot}`,
      version,
      num_clients: worker.connections,
      num_users: worker.users,
      num_channels: worker.channels,
      num_subs: worker.subscriptions,
      uptime: worker.uptimeSeconds,
      process: { rss: worker.residentBytes },
    }));
    return { nodes };
  },
});
