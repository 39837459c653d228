/** Distributes the calls of siblings: messages for HTTP streams of this worker, and commands of handlers. */
import type { Commands } from '../handlers/commands.ts';
import type { Emulation } from '../ingress/emulation.ts';
import type { CallHost } from '../relay/mesh/mesh.ts';

export function siblingCalls(emulation: Emulation, commands: Commands): CallHost {
  return {
    call: (from, value) => {
      if (!emulation.call(from, value)) commands.call(from, value);
    },
    result: (from, value) => {
      if (!emulation.result(from, value)) commands.result(from, value);
    },
    linkClosed: (sibling) => {
      emulation.linkClosed(sibling);
      commands.linkClosed(sibling);
    },
  };
}
