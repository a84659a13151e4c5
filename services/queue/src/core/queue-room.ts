/**
 * One queue in this process: concurrent calls share round trips, long polls stand in line, a ticker keeps its times.
 * Nothing of a queue is only here: whatever is lost with the process is in the store, or comes again.
 */
import type { Lane, LeaseAnswer, LeaseAsk } from '../store/lane.ts';
import { CommitGroup } from './commit-group.ts';
import type { Added, LeasedJob, NewJob, Renewal, Renewed, Settled, Settlement } from './job.ts';
import type { JobEvent } from './job-event.ts';
import type { QueueDefinition } from './queue-definition.ts';
import { QueueFigures } from './queue-figures.ts';
import { SettleBook } from './settle-book.ts';
import { callStore } from './store-fault.ts';
import { Ticker } from './ticker.ts';
import { type Head, type Patience, WaitingLine } from './waiting-line.ts';

/** What a room has of the house. */
export interface Hall {
  now(): number;
  /** The queue's definition and lane; undefined: there is no such queue (yet). */
  find(queue: string): Promise<Found | undefined>;
  /** As `find`, and makes the queue if it is missing. `delivers`: its jobs may want something at their end. */
  ensure(queue: string, delivers: boolean): Promise<Found>;
  tell(event: JobEvent): void;
  /** Nobody would hear an event. */
  isSilent(): boolean;
  /** Tells the other replicas that there may be jobs. */
  wakeOthers(queue: string): void;
  admitWaiter(): boolean;
  waiterLeft(): void;
  report(what: string, queue: string, error: unknown): void;
  /** Items of one queue that wait for their commit; more are refused. */
  readonly committingMax: number;
}

export interface Found {
  readonly definition: QueueDefinition;
  readonly lane: Lane;
}

/** Of one call to the store. */
const BATCH_MAX = 1_000;
/** After ends that may have freed something for others: their looks are gathered so long. */
const WAKE_SOON_MS = 10;

const NOTHING: LeaseAnswer = { jobs: [], nextInMs: undefined, isPaused: false };

export class QueueRoom {
  readonly figures = new QueueFigures();
  readonly line: WaitingLine;
  readonly #queue: string;
  readonly #hall: Hall;
  readonly #adds: CommitGroup<NewJob, Added>;
  readonly #settles: CommitGroup<Settlement, Settled>;
  readonly #renews: CommitGroup<Renewal, Renewed>;
  readonly #ticker: Ticker;
  readonly #book: SettleBook;
  #wakeSoon: NodeJS.Timeout | undefined;

  constructor(queue: string, hall: Hall) {
    this.#queue = queue;
    this.#hall = hall;
    this.#book = new SettleBook({ queue, figures: this.figures, hall });
    const group = { itemsMax: BATCH_MAX, waitingMax: hall.committingMax };
    this.#adds = new CommitGroup({ ...group, noun: 'jobs', commit: (jobs) => this.#add(jobs) });
    this.#settles = new CommitGroup({ ...group, noun: 'settlements', commit: (all) => this.#settle(all) });
    this.#renews = new CommitGroup({ ...group, noun: 'renewals', commit: (all) => this.#renew(all) });
    this.#ticker = new Ticker({
      tick: () => this.#tick(),
      now: () => hall.now(),
      report: (error) => hall.report('a tick', queue, error),
    });
    this.line = new WaitingLine({
      lease: (ask) => this.#lease(ask),
      giveBack: (jobs) => this.giveBack(jobs),
      dueIn: (ms) => this.#ticker.dueIn(ms),
      admit: () => hall.admitWaiter(),
      leave: () => hall.waiterLeft(),
    });
  }

  /** Nobody waits here, and nothing is under way. */
  get isIdle(): boolean {
    return this.line.length === 0 && this.#adds.isIdle && this.#settles.isIdle && this.#renews.isIdle;
  }

  enqueue(jobs: readonly NewJob[]): Promise<Added[]> {
    return this.#adds.add(jobs);
  }

  settle(settlements: readonly Settlement[]): Promise<Settled[]> {
    return this.#settles.add(settlements);
  }

  renew(renewals: readonly Renewal[]): Promise<Renewed[]> {
    return this.#renews.add(renewals);
  }

  /** Settles and leases: in one round trip unless others stand in line before. What was settled is always told. */
  async next(
    settlements: readonly Settlement[],
    ask: LeaseAsk,
    patience: Patience,
  ): Promise<{ settled: Settled[]; jobs: readonly LeasedJob[] }> {
    if (settlements.length === 0) return { settled: [], jobs: await this.line.lease(ask, patience) };
    const found = this.line.length === 0 ? await this.#hall.find(this.#queue) : undefined;
    if (found === undefined) {
      const settled = await this.settle(settlements);
      return { settled, jobs: await this.#leaseAfter(() => this.line.lease(ask, patience)) };
    }
    const forget = await this.#book.before(found, settlements);
    const answer = await callStore(found.lane, 'change', () => found.lane.turn(this.#queue, settlements, ask));
    this.#settled(settlements, answer.settled, forget);
    this.#leased(answer, ask);
    if (answer.jobs.length > 0 && patience.signal.aborted) this.giveBack(answer.jobs);
    if (answer.jobs.length > 0) return { settled: answer.settled, jobs: patience.signal.aborted ? [] : answer.jobs };
    const jobs = await this.#leaseAfter(() => this.line.wait(ask, patience, answer.nextInMs));
    return { settled: answer.settled, jobs };
  }

  /** Something may be there to be leased; heard from elsewhere. */
  wake(): void {
    this.line.wake();
  }

  /** As `wake`, and the other replicas are told. */
  wakeAll(): void {
    this.line.wake();
    this.#hall.wakeOthers(this.#queue);
  }

  tick(): Promise<void> {
    return this.#ticker.run();
  }

  /** Cancelled by somebody else than its worker. */
  cancelled(id: string, reason: string): void {
    this.#book.cancelled(id, reason);
  }

  /** Jobs for somebody who has gone: others have them at once, and no attempt is counted. */
  giveBack(jobs: readonly LeasedJob[]): void {
    const releases = jobs.map(({ id, token }): Settlement => ({ kind: 'release', id, token }));
    this.settle(releases).catch((error: unknown) => {
      // Not lost: they come back when their leases end.
      this.#hall.report('giving back jobs', this.#queue, error);
    });
  }

  /** Answers all who wait, at once. */
  close(): void {
    this.line.close();
  }

  async stop(): Promise<void> {
    this.line.close();
    clearTimeout(this.#wakeSoon);
    await Promise.all([this.#adds.settled(), this.#settles.settled(), this.#renews.settled()]);
    await this.#ticker.stop();
  }

  async #leaseAfter(lease: () => Promise<readonly LeasedJob[]>): Promise<readonly LeasedJob[]> {
    try {
      return await lease();
    } catch (error) {
      this.#hall.report('a lease behind settlements', this.#queue, error);
      return [];
    }
  }

  async #add(jobs: readonly NewJob[]): Promise<Added[]> {
    const { lane } = await this.#hall.ensure(this.#queue, jobs.some(wantsDelivery));
    const head = lane.addLease === undefined ? undefined : this.line.head();
    if (head !== undefined) return this.#addFor(head, lane, jobs);
    const added = await callStore(lane, 'change', () => lane.add(this.#queue, jobs));
    if (this.#added(jobs, added)) this.wakeAll();
    return added;
  }

  /** Who waits has them with the same round trip; the others are woken only when it may not have been all. */
  async #addFor({ ask, answer, fail }: Head, lane: Lane, jobs: readonly NewJob[]): Promise<Added[]> {
    try {
      const done = await callStore(lane, 'change', () => lane.addLease!(this.#queue, jobs, ask));
      this.#added(jobs, done.added);
      this.#leased(done, ask);
      answer(done);
      if (done.jobs.length >= ask.max || done.nextInMs === 0) this.wakeAll();
      return done.added;
    } catch (error) {
      fail(error);
      throw error;
    }
  }

  /** @returns Whether there are such as wait. */
  #added(jobs: readonly NewJob[], added: readonly Added[]): boolean {
    const nowMs = this.#hall.now();
    const isSilent = this.#hall.isSilent();
    let count = 0;
    let hasWaiting = false;
    let dueAtMs = Number.POSITIVE_INFINITY;
    for (const [at, one] of added.entries()) {
      if ('refused' in one) continue;
      const { runAtMs, expiresAtMs, dedup, name } = jobs[at]!;
      if (one.state === 'waiting') hasWaiting = true;
      if (one.state === 'scheduled')
        dueAtMs = Math.min(dueAtMs, runAtMs > nowMs ? runAtMs : nowMs + (dedup?.ttlMs ?? 0));
      if (expiresAtMs > 0) dueAtMs = Math.min(dueAtMs, expiresAtMs);
      if (one.isDuplicate) continue;
      count += 1;
      if (isSilent) continue;
      this.#hall.tell({ kind: 'enqueued', queue: this.#queue, id: one.id, state: one.state, atMs: nowMs, name });
    }
    this.figures.count('enqueued', nowMs, count);
    if (dueAtMs < Number.POSITIVE_INFINITY) this.#ticker.dueIn(dueAtMs - nowMs);
    return hasWaiting;
  }

  async #lease(ask: LeaseAsk): Promise<LeaseAnswer> {
    const found = await this.#hall.find(this.#queue);
    if (found === undefined) return NOTHING;
    const reason = found.lane.notReady();
    if (reason !== undefined) throw new Error(reason);
    const answer = await found.lane.lease(this.#queue, ask);
    this.#leased(answer, ask);
    return answer;
  }

  #leased({ jobs, nextInMs }: LeaseAnswer, { leaseMs, worker }: LeaseAsk): void {
    const nowMs = this.#hall.now();
    this.figures.leased(jobs, nowMs);
    if (nextInMs !== undefined) this.#ticker.dueIn(nextInMs);
    if (jobs.length === 0) return;
    this.#ticker.dueIn(jobs.reduce((ms, { timeoutMs }) => (timeoutMs > 0 ? Math.min(ms, timeoutMs) : ms), leaseMs));
    if (this.#hall.isSilent()) return;
    for (const { id, name, attempt } of jobs)
      this.#hall.tell({ kind: 'leased', queue: this.#queue, id, state: 'leased', atMs: nowMs, name, worker, attempt });
  }

  async #settle(settlements: readonly Settlement[]): Promise<Settled[]> {
    const found = await this.#hall.find(this.#queue);
    if (found === undefined) return settlements.map(({ id }) => ({ id, refused: 'unknown' }));
    const forget = await this.#book.before(found, settlements);
    const settled = await callStore(found.lane, 'change', () => found.lane.settle(this.#queue, settlements));
    this.#settled(settlements, settled, forget);
    return settled;
  }

  #settled(
    settlements: readonly Settlement[],
    settled: readonly Settled[],
    deliveries: Awaited<ReturnType<SettleBook['before']>>,
  ): void {
    const { isBack, mayFree, dueInMs } = this.#book.after(settlements, settled, deliveries);
    if (dueInMs !== undefined) this.#ticker.dueIn(dueInMs);
    if (isBack) this.wakeAll();
    else if (mayFree && this.line.length > 0) this.#wakeLater();
  }

  /** An end may have freed a place of a limit, a parent or a kept job: not worth an ask for each. */
  #wakeLater(): void {
    this.#wakeSoon ??= setTimeout(() => {
      this.#wakeSoon = undefined;
      this.line.wake();
    }, WAKE_SOON_MS).unref();
  }

  async #renew(renewals: readonly Renewal[]): Promise<Renewed[]> {
    const found = await this.#hall.find(this.#queue);
    if (found === undefined) return renewals.map(({ id }) => ({ id, refused: 'unknown' }));
    const renewed = await callStore(found.lane, 'repeatable', () => found.lane.renew(this.#queue, renewals));
    const nowMs = this.#hall.now();
    for (const [at, one] of renewed.entries()) if ('refused' in one) this.figures.refused(renewals[at]!.token, nowMs);
    return renewed;
  }

  async #tick(): Promise<number | undefined> {
    const found = await this.#hall.find(this.#queue);
    if (found === undefined || found.lane.notReady() !== undefined) return undefined;
    const ticked = await found.lane.tick(this.#queue);
    const nowMs = this.#hall.now();
    for (const { id, lateMs } of ticked.promoted) {
      this.figures.lateness.record(lateMs);
      this.#hall.tell({ kind: 'promoted', queue: this.#queue, id, state: 'waiting', atMs: nowMs });
    }
    this.#book.ticked(ticked, nowMs);
    const isMoved = ticked.promoted.length + ticked.stalled.length + ticked.timedOut.length > 0;
    if (isMoved) this.wakeAll();
    else this.line.wake();
    return ticked.nextInMs;
  }
}

/** Something is to be done at its end. */
export const wantsDelivery = ({ resultTo, callbackUrl, failureCallbackUrl }: NewJob): boolean =>
  resultTo !== undefined || callbackUrl !== undefined || failureCallbackUrl !== undefined;
