/** Handlers for everybody.test.ts: looks at a channel in every turn of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { defineHandlers, type HubHandle } from '../../src/handlers/define.ts';

function membersOf(hub: HubHandle, name: unknown): number {
  return hub.state().channels.find(({ channel }) => channel === name)?.connections ?? 0;
}

let handled = 0;

export default defineHandlers({
  types: {
    n: () => {
      handled += 1;
    },
    /** Answers with the numbers of `n` handled in each turn, once the given total is reached. */
    count: async ({ n }) => {
      const perTurn: number[] = [];
      for (let before = handled; before < Number(n);) {
        await nextTurn();
        if (handled > before) perTurn.push(handled - before);
        before = handled;
      }
      return perTurn;
    },
    /** Answers with the number of members, and once the last has gone with the numbers that it saw. */
    watch: ({ channel }, { hub, connection }) => {
      const seen = [membersOf(hub, channel)];
      connection.send(seen[0]);
      const look = () => {
        const count = membersOf(hub, channel);
        if (count !== seen.at(-1)) seen.push(count);
        if (count === 0) connection.send(seen);
        else setImmediate(look);
      };
      setImmediate(look);
    },
  },
});
