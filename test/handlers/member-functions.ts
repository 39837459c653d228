/** The functions that member-hooks.test.ts loads into its hubs: they log what they are told. */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { defineHandlers, type ChannelContext, type MemberContext } from '../../src/handlers/define.ts';

const gate = process.env['TEST_GATE_FILE'];

/** Waits for the gate in the channel `room:gated`. */
async function told(what: string, context: ChannelContext | MemberContext): Promise<void> {
  const { id, channel, log } = context;
  const member = 'member' in context ? context.member : null;
  log.info({ id, what, member }, 'begun');
  while (channel === 'room:gated' && gate !== undefined && !existsSync(gate)) await sleep(10);
  if (channel === 'room:fails') throw new Error('a hook that fails');
  log.info({ id, what, member }, 'told');
}

export default defineHandlers({
  types: {
    who: async (_message, { hub, channel, connection }) => {
      connection.send([await hub.presence(channel, 2), await hub.presenceStats(channel)]);
    },
  },
  onJoin: (context) => told('join', context),
  onLeave: (context) => told('leave', context),
  onOccupied: (context) => told('occupied', context),
  onVacated: (context) => told('vacated', context),
});
