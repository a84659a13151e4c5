/**
 * The engine of the queue service: every door asks here. It shares round trips among callers, lets long polls wait in
 * line, keeps the times of jobs, and tells what happens. What a job may do next is decided by its lane alone.
 */
import { Problem } from '@plinth/problem';
import type {
  FlowNode,
  GroupLimits,
  JobFilter,
  JobPage,
  Lane,
  LeaseAsk,
  QueueStats,
  RedriveFilter,
} from '../store/lane.ts';
import { EndWatch } from './end-watch.ts';
import type { Added, JobState, JobView, LeasedJob, NewJob, Renewal, Renewed, Settled, Settlement } from './job.ts';
import { EventHub, isEnd, type JobEvent } from './job-event.ts';
import { QueueCatalog } from './queue-catalog.ts';
import type { LaneKind, QueueChange, QueueDefinition, Registry } from './queue-definition.ts';
import type { Figures } from './queue-figures.ts';
import { type Found, type Hall, QueueRoom, wantsDelivery } from './queue-room.ts';
import { callStore, type Effect, storeProblem } from './store-fault.ts';
import { Sweeper } from './sweeper.ts';
import type { Patience } from './waiting-line.ts';

/** Whom the engine tells what it could not do and goes on without. */
export interface QueueObserver {
  failed(what: string, queue: string, error: unknown): void;
}

/** The other replicas. */
export interface Neighbours {
  /** There may be jobs. Cheap: called with each enqueue. */
  wake(queue: string): void;
  /** Calls `ended` for each job of the queue that ends on another replica. @returns Ends that. */
  watchEnds(queue: string, ended: (id: string) => void): () => void;
}

export interface QueueLimitsOfProcess {
  /** Requests that wait for jobs in all queues. */
  readonly waitersMax: number;
  /** Jobs of one queue that wait for their commit. */
  readonly committingMax: number;
  readonly queuesMax: number;
}

export interface QueuesRooms {
  lanes: Readonly<Record<LaneKind, Lane>>;
  registry: Registry;
  observer: QueueObserver;
  neighbours?: Neighbours | undefined;
  now(): number;
  random(): number;
  /** Of queues that their first enqueue makes. Default `fast`. */
  defaultLane?: LaneKind | undefined;
  limits?: Partial<QueueLimitsOfProcess> | undefined;
}

export type AcceptedHook = (queue: string, jobs: readonly NewJob[], added: readonly Added[]) => Promise<void>;

export interface QueueState extends QueueStats {
  readonly queue: string;
  readonly lane: LaneKind;
  readonly figures: Figures;
  /**
   * Jobs wait, the queue is not paused, and nobody has asked this replica for any, for so many milliseconds; 0: all is
   * well. The same on every replica: workers are gone.
   */
  readonly unfetchedMs: number;
}

const LIMITS: QueueLimitsOfProcess = { waitersMax: 10_000, committingMax: 20_000, queuesMax: 10_000 };
/** After so long without anything here a queue is looked at more rarely. */
const QUIET_MS = 10_000;

const NO_NEIGHBOURS: Neighbours = { wake: () => undefined, watchEnds: () => () => undefined };

export class Queues {
  readonly #rooms: QueuesRooms;
  readonly #limits: QueueLimitsOfProcess;
  readonly #neighbours: Neighbours;
  readonly #catalog: QueueCatalog;
  readonly #hub: EventHub;
  readonly #ends: EndWatch;
  readonly #sweeper: Sweeper;
  readonly #hall: Hall;
  readonly #open = new Map<string, QueueRoom>();
  readonly #startedAtMs: number;
  #accepted: AcceptedHook = () => Promise.resolve();
  #waiters = 0;
  #isReleased = false;

  constructor(rooms: QueuesRooms) {
    const { lanes, registry, observer, neighbours = NO_NEIGHBOURS, now, defaultLane = 'fast' } = rooms;
    this.#rooms = rooms;
    this.#limits = { ...LIMITS, ...rooms.limits };
    this.#neighbours = neighbours;
    this.#startedAtMs = now();
    const { queuesMax } = this.#limits;
    this.#catalog = new QueueCatalog({ lanes, registry, defaultLane, queuesMax });
    this.#hub = new EventHub((error) => observer.failed('a listener', '', error));
    this.#ends = new EndWatch({
      get: (queue, id) => this.#view(queue, id),
      watch: (queue, ended) => neighbours.watchEnds(queue, ended),
    });
    this.#hall = this.#makeHall();
    this.#sweeper = this.#makeSweeper();
  }

  // ---------------------------------------------------------------- queues

  /**
   * Makes a queue or changes it; what the change leaves out stays as it is.
   *
   * @throws Problem `conflict` for another lane; `invalid_request` for a name that is none; `overloaded` when there
   * are as many queues as there may be.
   */
  define(queue: string, change: QueueChange): Promise<QueueDefinition> {
    return this.#catalog.define(queue, change);
  }

  definition(queue: string): Promise<QueueDefinition | undefined> {
    return this.#catalog.get(queue);
  }

  list(): Promise<QueueDefinition[]> {
    return this.#catalog.list();
  }

  /** With all it holds. @throws Problem `queue_not_found`; `conflict` while there are leases, unless forced. */
  async remove(queue: string, isForced: boolean): Promise<void> {
    await this.#catalog.remove(queue, isForced);
    this.#open.get(queue)?.wake();
  }

  /** Undefined: back to the queue's default for groups. The queue is made if it is missing. */
  configureGroup(queue: string, group: string, limits: GroupLimits | undefined): Promise<void> {
    return this.#catalog.configureGroup(queue, group, limits);
  }

  // ---------------------------------------------------------------- jobs come

  /**
   * Concurrent calls of one queue share round trips. In order, each job by itself.
   *
   * @throws Problem `overloaded` and `unavailable`: nothing happened; `outcome_unknown`: the store went away meanwhile.
   */
  async enqueue(queue: string, jobs: readonly NewJob[]): Promise<Added[]> {
    const added = await this.#room(queue).enqueue(jobs);
    if (jobs.some(wantsDelivery)) await this.#accepted(queue, jobs, added);
    return added;
  }

  /** A tree, all of it or nothing. @throws Problem `unprocessable` on a lane that has none. */
  async flow(queue: string, flow: FlowNode): Promise<{ id: string; childIds: readonly string[] }> {
    const jobs = jobsOf(flow);
    const { lane } = await this.#catalog.ensure(queue, jobs.some(wantsDelivery));
    if (lane.addFlow === undefined)
      throw new Problem('unprocessable', `the lane ${lane.kind} of the queue ${queue} has no flows`);
    const added = await callStore(lane, 'change', async () => lane.addFlow?.(queue, flow));
    const { id, childIds } = added!;
    this.#room(queue).wakeAll();
    if (jobs.some(wantsDelivery))
      await this.#accepted(
        queue,
        jobs,
        [id, ...childIds].map((each): Added => ({ id: each, state: 'waiting-children', isDuplicate: false })),
      );
    return { id, childIds };
  }

  // ---------------------------------------------------------------- workers

  /** Waits for jobs as patience says; those of a queue that is not there yet wait for it too. Empty: none came. */
  async lease(queue: string, ask: LeaseAsk, patience: Patience): Promise<readonly LeasedJob[]> {
    try {
      const jobs = await this.#room(queue).line.lease(ask, patience);
      const reason = jobs.length > 0 || patience.signal.aborted || this.#isReleased ? undefined : this.notReady();
      // That there was no job is more than anybody knows.
      if (reason !== undefined) throw new Error(reason);
      return jobs;
    } catch (error) {
      throw storeProblem(error, 'repeatable');
    }
  }

  /** Settles, then leases: one round trip. What was settled is told in any case; the lease may come to nothing. */
  next(
    queue: string,
    settlements: readonly Settlement[],
    ask: LeaseAsk,
    patience: Patience,
  ): Promise<{ settled: Settled[]; jobs: readonly LeasedJob[] }> {
    if (settlements.length > 0) return this.#room(queue).next(settlements, ask, patience);
    return this.lease(queue, ask, patience).then((jobs) => ({ settled: [], jobs }));
  }

  settle(queue: string, settlements: readonly Settlement[]): Promise<Settled[]> {
    return this.#room(queue).settle(settlements);
  }

  renew(queue: string, renewals: readonly Renewal[]): Promise<Renewed[]> {
    return this.#room(queue).renew(renewals);
  }

  // ---------------------------------------------------------------- looking

  /** With patience: when it has ended, or as it is when patience ends. Undefined: there is no such job. */
  job(queue: string, id: string, patience?: Patience): Promise<JobView | undefined> {
    return patience === undefined ? this.#view(queue, id) : this.#ends.wait(queue, id, patience);
  }

  /** @throws Problem `queue_not_found`. */
  jobs(queue: string, filter: JobFilter, page: { limit: number; cursor?: string | undefined }): Promise<JobPage> {
    return this.#ask(queue, 'repeatable', ({ lane }) => lane.list(queue, filter, page));
  }

  /** @throws Problem `queue_not_found`. */
  async stats(queue: string): Promise<QueueState> {
    const { definition, lane } = await this.#catalog.need(queue);
    const stats = await callStore(lane, 'repeatable', () => lane.stats(queue));
    const nowMs = this.#rooms.now();
    const room = this.#room(queue);
    const unfetchedMs = this.unfetchedMs(stats, room, nowMs);
    return { ...stats, queue, lane: definition.lane, figures: room.figures.snapshot(nowMs), unfetchedMs };
  }

  /** As in `QueueState`. */
  unfetchedMs({ isPaused, counts, oldestWaitingMs }: QueueStats, { line, figures }: QueueRoom, nowMs: number): number {
    if (isPaused || counts.waiting === 0 || line.length > 0) return 0;
    const askedAtMs = figures.lastLeaseAskAtMs ?? this.#startedAtMs;
    return Math.max(0, Math.min(nowMs - askedAtMs, oldestWaitingMs));
  }

  // ---------------------------------------------------------------- operators

  /** @returns Per id: its state now, or undefined. `leased`: its worker is asked to stop. */
  async cancel(queue: string, ids: readonly string[], reason: string): Promise<(JobState | undefined)[]> {
    const states = await this.#ask(queue, 'repeatable', ({ lane }) => lane.cancel(queue, ids, reason));
    const room = this.#room(queue);
    for (const [at, state] of states.entries()) if (state === 'cancelled') room.cancelled(ids[at]!, reason);
    return states;
  }

  pause(queue: string, group?: string): Promise<void> {
    return this.#ask(queue, 'repeatable', ({ lane }) => lane.pause(queue, group));
  }

  async resume(queue: string, group?: string): Promise<void> {
    await this.#ask(queue, 'repeatable', ({ lane }) => lane.resume(queue, group));
    this.#room(queue).wakeAll();
  }

  drain(queue: string, isScheduledToo: boolean): Promise<number> {
    return this.#ask(queue, 'repeatable', ({ lane }) => lane.drain(queue, isScheduledToo));
  }

  purge(queue: string, states: readonly ('completed' | 'dead' | 'cancelled')[]): Promise<number> {
    return this.#ask(queue, 'repeatable', ({ lane }) => lane.purge(queue, states));
  }

  /** @returns The ids of those that wait again, oldest first. */
  async redrive(queue: string, filter: RedriveFilter, max: number): Promise<string[]> {
    const ids = await this.#ask(queue, 'change', ({ lane }) => lane.redrive(queue, filter, max));
    if (ids.length > 0) this.#room(queue).wakeAll();
    return ids;
  }

  /** @returns False: it is neither scheduled nor retrying. */
  async promote(queue: string, id: string): Promise<boolean> {
    const isDone = await this.#ask(queue, 'repeatable', ({ lane }) => lane.promote(queue, id));
    if (isDone) this.#room(queue).wakeAll();
    return isDone;
  }

  // ---------------------------------------------------------------- what happens, and life

  /**
   * Called with jobs that want something at their end, after they were kept and before that is answered. What it
   * throws is thrown to whoever enqueued.
   */
  onAccepted(accepted: AcceptedHook): void {
    this.#accepted = accepted;
  }

  /** Of this replica. A listener must be quick; what it throws is reported. @returns Ends the listening. */
  onEvent(listener: (event: JobEvent) => void): () => void {
    return this.#hub.listen(listener);
  }

  /** As `onEvent`, but only ends of jobs that asked for something at their end. */
  onDelivery(deliver: (event: JobEvent) => void): () => void {
    return this.#hub.listenToDeliveries(deliver);
  }

  /** Another replica says that there may be jobs. */
  woken(queue: string): void {
    this.#open.get(queue)?.wake();
  }

  /** For metrics: depths some seconds old, of the first queues by name, and what this replica has seen of them. */
  shown(): { queue: string; stats: QueueStats; room: QueueRoom }[] {
    return [...this.#sweeper.shown].map(([queue, stats]) => ({ queue, stats, room: this.#room(queue) }));
  }

  /** Requests that wait for jobs. */
  get waiters(): number {
    return this.#waiters;
  }

  /** Why jobs cannot be kept or leased now. */
  notReady(): string | undefined {
    const { fast, standard } = this.#rooms.lanes;
    return fast.notReady() ?? standard.notReady();
  }

  start(): void {
    this.#sweeper.start();
  }

  /** Answers all who wait, at once and empty; from now on nobody waits. */
  release(): void {
    this.#isReleased = true;
    for (const room of this.#open.values()) room.close();
    this.#ends.close();
  }

  /** Commits what was taken, ends all timers. The lanes stay open. */
  async stop(): Promise<void> {
    this.release();
    await this.#sweeper.stop();
    await Promise.all([...this.#open.values()].map((room) => room.stop()));
  }

  #room(queue: string): QueueRoom {
    const open = this.#open.get(queue);
    if (open !== undefined) return open;
    const max = 2 * this.#limits.queuesMax;
    if (this.#open.size >= max) throw new Problem('overloaded', `${max} queues are asked for here already`);
    const room = new QueueRoom(queue, this.#hall);
    if (this.#isReleased) room.close();
    this.#open.set(queue, room);
    return room;
  }

  #makeHall(): Hall {
    const { now, observer } = this.#rooms;
    return {
      now,
      find: (queue) => this.#catalog.find(queue),
      ensure: (queue, delivers) => this.#catalog.ensure(queue, delivers),
      tell: (event) => this.#tell(event),
      isSilent: () => this.#hub.isIdle && this.#ends.isIdle,
      wakeOthers: (queue) => this.#neighbours.wake(queue),
      admitWaiter: () => {
        if (this.#waiters >= this.#limits.waitersMax) return false;
        this.#waiters += 1;
        return true;
      },
      waiterLeft: () => {
        this.#waiters -= 1;
      },
      report: (what, queue, error) => observer.failed(what, queue, error),
      committingMax: this.#limits.committingMax,
    };
  }

  #makeSweeper(): Sweeper {
    const { random, now, observer } = this.#rooms;
    return new Sweeper({
      list: () => this.#swept(),
      tick: (queue) => this.#room(queue).tick(),
      stats: async (queue) => {
        const { lane } = await this.#catalog.need(queue);
        return lane.stats(queue);
      },
      isQuiet: (queue) => now() - (this.#open.get(queue)?.figures.lastActiveAtMs ?? 0) > QUIET_MS,
      notReady: () => this.notReady(),
      onBack: () => {
        for (const room of this.#open.values()) room.wake();
      },
      random,
      report: (what, queue, error) => observer.failed(what, queue, error),
    });
  }

  /** All queues; rooms of names that are none, and that nobody waits in, are closed. */
  async #swept(): Promise<QueueDefinition[]> {
    const definitions = await this.#catalog.list();
    const known = new Set(definitions.map(({ queue }) => queue));
    for (const [queue, room] of this.#open) if (!known.has(queue) && room.isIdle) this.#open.delete(queue);
    return definitions;
  }

  #tell(event: JobEvent): void {
    if (isEnd(event.kind)) this.#ends.ended(event.queue, event.id);
    this.#hub.tell(event);
  }

  async #view(queue: string, id: string): Promise<JobView | undefined> {
    const found = await this.#catalog.find(queue);
    return found && callStore(found.lane, 'repeatable', () => found.lane.get(queue, id));
  }

  async #ask<T>(queue: string, effect: Effect, work: (found: Found) => Promise<T>): Promise<T> {
    const found = await this.#catalog.need(queue);
    return callStore(found.lane, effect, () => work(found));
  }
}

/** In the order of the ids of `addFlow`: each before its children. */
function jobsOf({ job, children }: FlowNode): NewJob[] {
  return [job, ...children.flatMap(jobsOf)];
}
