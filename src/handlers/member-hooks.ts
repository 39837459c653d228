/**
 * Runs the handlers of joins and leaves, for the whole hub in one worker. The events of one channel are handled strictly in
 * order. An event counts as handled when its handler has ended, also if it has failed: that is logged.
 */
import type { Log } from '../platform/log.ts';
import type { HandledEvent } from '../relay/broker-link/presence-link.ts';
import type { ChannelContext, HubHandle, MemberContext } from './define.ts';
import { presentClient } from './handle.ts';
import type { LoadedHandlers } from './load.ts';
import type { HandlerRunner } from './runner.ts';

type Hooks = Pick<LoadedHandlers, 'onJoin' | 'onLeave' | 'onOccupied' | 'onVacated'>;

interface Waiting {
  readonly event: HandledEvent;
  readonly done: () => void;
}

export class MemberHooks {
  readonly #hooks: Hooks;
  readonly #hub: HubHandle;
  readonly #runner: HandlerRunner;
  readonly #log: Log;
  /** events that wait for an earlier one of their channel */
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(hooks: Hooks, hub: HubHandle, runner: HandlerRunner, log: Log) {
    this.#hooks = hooks;
    this.#hub = hub;
    this.#runner = runner;
    this.#log = log;
  }

  /** Whether there is a handler of joins or leaves. */
  static exist({ onJoin, onLeave, onOccupied, onVacated }: Hooks): boolean {
    return Boolean(onJoin ?? onLeave ?? onOccupied ?? onVacated);
  }

  /** @param done called when the event was handled */
  handle(event: HandledEvent, done: () => void): void {
    const { channel } = event;
    const waiting = this.#waiting.get(channel);
    if (waiting) {
      waiting.push({ event, done });
      return;
    }
    this.#waiting.set(channel, []);
    void this.#run(channel, { event, done });
  }

  async #run(channel: string, first: Waiting): Promise<void> {
    for (let next: Waiting | undefined = first; next;) {
      const { event, done } = next;
      await this.#handle(event);
      done();
      next = this.#waiting.get(channel)?.shift();
    }
    this.#waiting.delete(channel);
  }

  async #handle({ kind, id, channel, member }: HandledEvent): Promise<void> {
    const { onJoin, onLeave, onOccupied, onVacated } = this.#hooks;
    const own: { log?: Log } = {};
    const log = this.#log;
    const context: ChannelContext = {
      id: `${id}-${kind}`,
      channel,
      hub: this.#hub,
      get log() {
        return (own.log ??= log.child({ channel }));
      },
    };
    const ofMember = (): MemberContext =>
      Object.defineProperty(context, 'member', {
        value: presentClient(member),
        enumerable: true,
      }) as MemberContext;
    const run = {
      joined: onJoin && (() => onJoin(ofMember())),
      left: onLeave && (() => onLeave(ofMember())),
      occupied: onOccupied && (() => onOccupied(context)),
      vacated: onVacated && (() => onVacated(context)),
    }[kind];
    if (!run) return;
    try {
      await this.#runner.once(run);
    } catch (error) {
      const handler = { joined: 'onJoin', left: 'onLeave', occupied: 'onOccupied', vacated: 'onVacated' }[
        kind
      ];
      this.#log.error({ err: error, handler, channel, id: context.id }, 'handler failed');
    }
  }
}
