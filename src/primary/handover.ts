/**
 * The connections that node:cluster has handed to a worker and that the worker has not confirmed yet. If it dies,
 * node:cluster forgets them (lib/internal/cluster/round_robin_handle.js, `handoff`): they would stay open and
 * unanswered for ever. Here they are given back, and another worker serves them.
 */
import type { ChildProcess } from 'node:child_process';

/** What of node:cluster's own messages is looked at; one that has none of it is left alone. */
interface ClusterMessage {
  act?: string;
  seq?: number;
  ack?: number;
}

export class Handover {
  readonly #process: ChildProcess;
  /** what was handed over and is not confirmed, by the number of its message */
  readonly #unconfirmed = new Map<number, { close(): void }>();

  constructor(process: ChildProcess) {
    this.#process = process;
    // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a process that could not be started has none
    if (!process.send) return;
    const send = process.send.bind(process) as (...args: unknown[]) => boolean;
    process.send = (...args: unknown[]) => {
      const [message, handle] = args as [ClusterMessage, { close(): void } | undefined];
      if (message.act === 'newconn' && message.seq !== undefined && handle) {
        this.#unconfirmed.set(message.seq, handle);
      }
      return send(...args);
    };
    process.on('internalMessage', ({ ack }: ClusterMessage) => {
      if (ack !== undefined) this.#unconfirmed.delete(ack);
    });
  }

  /**
   * The worker is gone, and node:cluster hands it nothing any more.
   * @param others there are workers that can serve; else what was handed over is closed
   */
  giveBack(others: boolean): void {
    for (const [seq, handle] of this.#unconfirmed) {
      if (others) this.#process.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack: seq, accepted: false });
      else handle.close();
    }
    this.#unconfirmed.clear();
  }
}
