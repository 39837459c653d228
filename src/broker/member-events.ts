/**
 * Joins and leaves for the handlers of the user. Each event is handled by one worker, the earliest that is ready; if that
 * worker ends before it has handled it, the event goes to the next one. So each event is handled at least once, and
 * those of a channel are sent in their order. The worker of the member is told when it was handled.
 */
import type { PresentMember } from '../channel/member.ts';
import type { BrokerCounters } from '../metrics/broker-metrics.ts';
import type { memberEventKinds } from '../relay/broker-link/frame.ts';
import type { WorkerLink } from './deliveries.ts';

export type MemberEventKind = keyof typeof memberEventKinds;

/** The worker that knows the member, and its number there. */
export interface EventOwner {
  readonly link: WorkerLink;
  readonly number: number;
}

interface MemberEvent {
  readonly number: number;
  readonly kind: MemberEventKind;
  readonly channel: string;
  readonly member: PresentMember;
  readonly owner: EventOwner;
}

/** Most events that are sent to a worker and not handled. */
const maxSent = 256;
/** Most events that wait; the oldest are dropped. */
const maxWaiting = 100_000;

export class MemberEvents {
  readonly #counters: BrokerCounters;
  readonly #wake: () => void;
  /** workers that handle events */
  readonly #ready = new Set<WorkerLink>();
  #handler: WorkerLink | null = null;
  /** sent to the handler and not handled, by number */
  #sent = new Map<number, MemberEvent>();
  /** by number, oldest first */
  #waiting = new Map<number, MemberEvent>();
  #lastNumber = 0;

  constructor(counters: BrokerCounters, wake: () => void) {
    this.#counters = counters;
    this.#wake = wake;
  }

  add(kind: MemberEventKind, channel: string, member: PresentMember, owner: EventOwner): void {
    const number = ++this.#lastNumber;
    this.#waiting.set(number, { number, kind, channel, member, owner });
    if (this.#waiting.size > maxWaiting) this.#dropOldest();
    this.#send();
  }

  /** @param isReady false: the worker takes no more events */
  handles(link: WorkerLink, isReady: boolean): void {
    if (isReady) this.#ready.add(link);
    else this.#ready.delete(link);
    this.#send();
  }

  /** The worker has handled an event. */
  handled(link: WorkerLink, number: number): void {
    const event = this.#sent.get(number);
    if (link !== this.#handler || !event) return;
    this.#sent.delete(number);
    this.#settle(event);
    this.#send();
  }

  closed(link: WorkerLink): void {
    this.#ready.delete(link);
    if (link !== this.#handler) return;
    this.#handler = null;
    this.#waiting = new Map([...this.#sent, ...this.#waiting]);
    this.#sent = new Map();
    this.#send();
  }

  #send(): void {
    // The next worker begins when this one has handled what it was sent, so that the order is kept.
    if (this.#handler && !this.#ready.has(this.#handler) && this.#sent.size === 0) this.#handler = null;
    this.#handler ??= this.#earliest();
    const handler = this.#handler;
    if (!handler || !this.#ready.has(handler)) return;
    for (const [number, event] of this.#waiting) {
      if (this.#sent.size === maxSent) break;
      this.#waiting.delete(number);
      this.#sent.set(number, event);
      const { kind, owner, channel, member } = event;
      handler.socket.out.event(number, kind, `${owner.link.life}-${owner.number}`, channel, member);
    }
    this.#wake();
  }

  #earliest(): WorkerLink | null {
    let earliest: WorkerLink | null = null;
    for (const link of this.#ready) if (!earliest || ageOf(link) < ageOf(earliest)) earliest = link;
    return earliest;
  }

  #dropOldest(): void {
    const [oldest] = this.#waiting.values();
    if (!oldest) return;
    this.#waiting.delete(oldest.number);
    this.#counters.presenceEventsDropped += 1;
    this.#settle(oldest);
  }

  #settle({ kind, owner: { link, number } }: MemberEvent): void {
    if (link.isClosed || (kind !== 'joined' && kind !== 'left')) return;
    link.socket.out.settled(number, kind);
    this.#wake();
  }
}

/** The number in a worker's id; later workers have higher ones. */
function ageOf({ workerId }: WorkerLink): number {
  return Number(workerId.slice(1));
}
