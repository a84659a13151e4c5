/** What follows from ends of leases: figures, events, and what jobs asked for at their end. */
import type { Ticked } from '../store/lane.ts';
import type { JobState, JobView, Settled, Settlement } from './job.ts';
import { type Deliveries, isEnd, type JobEvent, type JobEventKind } from './job-event.ts';
import type { QueueFigures } from './queue-figures.ts';
import type { Found, Hall } from './queue-room.ts';

export interface SettleBookOptions {
  queue: string;
  figures: QueueFigures;
  hall: Hall;
}

type DeliveriesById = ReadonlyMap<string, Deliveries>;

const KINDS = ['completed', 'failed', 'dead', 'cancelled', 'released'] as const;
const NONE: DeliveriesById = new Map();

export class SettleBook {
  readonly #options: SettleBookOptions;

  constructor(options: SettleBookOptions) {
    this.#options = options;
  }

  /**
   * What the jobs want at their ends, read before they end: retention may leave nothing of them behind.
   * Cost: nothing, unless jobs of this queue have asked for such things.
   */
  async before({ definition, lane }: Found, settlements: readonly Settlement[]): Promise<DeliveriesById> {
    if (definition.delivers !== true) return NONE;
    const ends = settlements.filter(({ kind }) => kind !== 'release');
    const views = await Promise.all(ends.map(({ id }) => lane.get(definition.queue, id)));
    return deliveriesOf(views.filter((view) => view !== undefined));
  }

  /**
   * @returns Is a job there to be leased again, may others be there that could not be leased before, and when is the
   * earliest retry due?
   */
  after(
    settlements: readonly Settlement[],
    settled: readonly Settled[],
    deliveries: DeliveriesById,
  ): { isBack: boolean; mayFree: boolean; dueInMs: number | undefined } {
    const { figures, hall } = this.#options;
    const nowMs = hall.now();
    const isSilent = hall.isSilent();
    let isBack = false;
    let mayFree = false;
    let dueAtMs = Number.POSITIVE_INFINITY;
    const counts = { completed: 0, failed: 0, dead: 0, cancelled: 0, released: 0 };
    for (let at = 0; at < settled.length; at++) {
      const one = settled[at]!;
      const settlement = settlements[at]!;
      if ('refused' in one) {
        figures.refused(settlement.token, nowMs);
        continue;
      }
      if (one.tookMs !== undefined) figures.process.record(one.tookMs);
      if (one.state === 'waiting') isBack = true;
      if (one.othersWait !== false) mayFree = true;
      if (one.dueAtMs !== undefined) dueAtMs = Math.min(dueAtMs, one.dueAtMs);
      const kind = kindOf(settlement, one.state);
      counts[kind] += 1;
      if (isSilent && deliveries.size === 0) continue;
      hall.tell(this.#event(kind, settlement, one, nowMs, deliveries.get(one.id)));
    }
    figures.settled(settlements);
    for (const kind of KINDS) figures.count(kind, nowMs, counts[kind]);
    return { isBack, mayFree, dueInMs: dueAtMs === Number.POSITIVE_INFINITY ? undefined : dueAtMs - nowMs };
  }

  ticked({ stalled, timedOut, expired }: Ticked, nowMs: number): void {
    for (const { id, state } of stalled) this.#moved(id, state, 'stalled', 'stalled', nowMs);
    for (const { id, state } of timedOut) this.#moved(id, state, 'failed', 'timeout', nowMs);
    for (const id of expired) this.#moved(id, 'dead', 'dead', 'expired', nowMs);
  }

  cancelled(id: string, reason: string): void {
    this.#moved(id, 'cancelled', 'cancelled', reason, this.#options.hall.now());
  }

  #moved(id: string, state: JobState, kind: 'stalled' | 'failed' | 'dead' | 'cancelled', reason: string, atMs: number) {
    const { figures, hall, queue } = this.#options;
    const told = state === 'dead' || state === 'cancelled' ? state : kind;
    figures.count(kind, atMs);
    if (told !== kind) figures.count(told, atMs);
    const event: JobEvent = { kind: told, queue, id, state, atMs, reason };
    if (isEnd(told)) void this.#tellEnd(event);
    else hall.tell(event);
  }

  /** These ends are rare, and dead jobs are kept: looking afterwards is soon enough. */
  async #tellEnd(event: JobEvent): Promise<void> {
    const { hall, queue } = this.#options;
    try {
      const found = await hall.find(queue);
      const view = found?.definition.delivers === true ? await found.lane.get(queue, event.id) : undefined;
      const deliveries = view && deliveriesOf([view]).get(event.id);
      hall.tell({ ...event, name: view?.name, attempt: view?.attempt, error: view?.error, deliveries });
    } catch (error) {
      hall.report('reading what a job wants at its end', queue, error);
      hall.tell(event);
    }
  }

  #event(
    kind: JobEventKind,
    settlement: Settlement,
    { id, state, dueAtMs }: Extract<Settled, { state: JobState }>,
    atMs: number,
    deliveries: Deliveries | undefined,
  ): JobEvent {
    const event = { kind, queue: this.#options.queue, id, state, atMs, dueAtMs, deliveries };
    if (settlement.kind === 'ack') return { ...event, result: settlement.result };
    return settlement.kind === 'fail' ? { ...event, error: settlement.error } : event;
  }
}

function kindOf(settlement: Settlement, state: JobState): (typeof KINDS)[number] {
  if (state === 'completed' || state === 'dead' || state === 'cancelled') return state;
  return settlement.kind === 'release' ? 'released' : 'failed';
}

function deliveriesOf(views: readonly JobView[]): DeliveriesById {
  const found = new Map<string, Deliveries>();
  for (const { id, callbackUrl, failureCallbackUrl, resultTo, traceparent, tracestate } of views)
    if ((callbackUrl ?? failureCallbackUrl ?? resultTo) !== undefined)
      found.set(id, { callbackUrl, failureCallbackUrl, resultTo, traceparent, tracestate });
  return found;
}
