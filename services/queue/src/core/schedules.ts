/**
 * Makes the runs of schedules: one job for each time that a schedule is due, whichever replica comes first, however
 * many race for it, and whoever dies in between.
 *
 * A run is enqueued with a dedup id of the schedule and the time, and only then the schedule is moved on. Who dies
 * between the two leaves it due; the next one enqueues the same id, which the queue knows, and moves it on. Nothing
 * hangs on clocks but when a run is made: a clock that is set back finds the schedule moved on already.
 */
import type { Added, NewJob } from './job.ts';
import type { QueueDefinition } from './queue-definition.ts';
import {
  begin,
  dueRuns,
  faultAt,
  type Plan,
  planOf,
  type Schedule,
  type ScheduleDraft,
  type ScheduleProgress,
} from './schedule.ts';

/** Keeps schedules, the same for all replicas. As `store/schedule-store.ts`. */
export interface ScheduleKeeper {
  get(id: string): Promise<string | undefined>;
  list(): Promise<string[]>;
  swap(
    id: string,
    change: {
      was: string | undefined;
      text: string | undefined;
      nextMs: number | undefined;
      max: number;
      isLentOn?: boolean | undefined;
    },
  ): Promise<'done' | 'changed' | 'full'>;
  due(nowMs: number, max: number): Promise<{ id: string; text: string }[]>;
  ahead(nowMs: number): Promise<{ nextMs: number | undefined; isOverdue: boolean }>;
}

export interface SchedulesOptions {
  readonly store: ScheduleKeeper;
  readonly queues: {
    definition(queue: string): Promise<QueueDefinition | undefined>;
    enqueue(queue: string, jobs: readonly NewJob[]): Promise<readonly Added[]>;
  };
  /** Fills in what the job of a schedule leaves out. @throws Problem when the queue does not take such a job. */
  makeJob(draft: ScheduleDraft, definition: QueueDefinition | undefined): NewJob;
  /** Milliseconds since 1970. */
  now(): number;
  random(): number;
  /** Told what could not be done and is tried again. */
  report(what: string, id: string, error: unknown): void;
  /** Begins the trace of a run: a new one, linked to nothing. */
  trace?(run: { id: string; queue: string; atMs: number }): { traceparent: string | undefined; end(): void };
  readonly schedulesMax?: number | undefined;
}

/** As somebody asks for it. */
export interface ScheduleShown {
  readonly id: string;
  readonly queue: string;
  readonly cron?: string;
  readonly timeZone?: string;
  readonly everyMs?: number;
  readonly at?: number;
  readonly from?: number;
  readonly until?: number;
  readonly runsMax?: number;
  readonly jitterMs?: number;
  readonly catchUp: ScheduleDraft['catchUp'];
  readonly paused: boolean;
  readonly job: unknown;
  readonly nextRunAtMs?: number;
  readonly lastRunAtMs?: number;
  readonly lastJobId?: string;
  readonly lastError?: string;
  readonly runs: number;
  readonly missed: number;
}

const SCHEDULES_MAX = 10_000;
/** What another replica put is seen so late at the most. */
const LOOK_MS = 1_000;
/** While another replica is at what is due, or it cannot be done. */
const OVERDUE_LOOK_MS = 200;
const DUE_MAX = 200;
const TRIES_MAX = 10;
const HOUR_MS = 3_600_000;

export class Schedules {
  readonly #options: SchedulesOptions;
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<unknown> = Promise.resolve();
  #isRunning = false;

  constructor(options: SchedulesOptions) {
    this.#options = options;
  }

  /**
   * Makes a schedule, or changes it. One whose times stay as they were goes on where it is.
   *
   * @throws Problem `invalid_schedule` that says what is wrong and where; or that there are 10,000; as `makeJob`.
   */
  async put(draft: ScheduleDraft): Promise<ScheduleShown> {
    const { queues, makeJob, now } = this.#options;
    const job = makeJob(draft, await queues.definition(draft.queue));
    if (job.dedup !== undefined) throw faultAt('/job/dedup', 'each run has one of its own already');
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const was = await this.#options.store.get(draft.id);
      const schedule = { draft, progress: begin(draft, was === undefined ? undefined : read(was), now()) };
      if (await this.#swap(was, schedule)) {
        this.#wake();
        return shown(schedule);
      }
    }
    throw faultAt('', 'it is being changed by others without end');
  }

  async get(id: string): Promise<ScheduleShown | undefined> {
    const text = await this.#options.store.get(id);
    return text === undefined ? undefined : shown(read(text));
  }

  /** By id; of one queue or of all. */
  async list(queue?: string): Promise<ScheduleShown[]> {
    const all = (await this.#options.store.list()).map((text) => shown(read(text)));
    const found = queue === undefined ? all : all.filter((one) => one.queue === queue);
    return found.sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  /** @returns False: there was none. */
  async remove(id: string): Promise<boolean> {
    for (;;) {
      const was = await this.#options.store.get(id);
      if (was === undefined) return false;
      const change = { was, text: undefined, nextMs: undefined, max: 0 };
      if ((await this.#options.store.swap(id, change)) === 'done') return true;
    }
  }

  /** Makes a job now, besides the runs. Undefined: there is no such schedule. */
  async run(id: string): Promise<Added | undefined> {
    const text = await this.#options.store.get(id);
    if (text === undefined) return undefined;
    const { draft } = read(text);
    const { queues, makeJob, now } = this.#options;
    const job = makeJob(draft, await queues.definition(draft.queue));
    const [added] = await this.#traced(draft, now(), (traceparent) =>
      queues.enqueue(draft.queue, [{ ...job, traceparent }]),
    );
    return added;
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#wake();
  }

  /** Ends the timer, and waits for the runs that are being made. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    clearTimeout(this.#timer);
    await this.#ticking;
  }

  /** Makes what is due now. @returns How many jobs were made here. */
  async tick(): Promise<number> {
    return (await this.#tick()).made;
  }

  async #tick(): Promise<{ made: number; isMore: boolean }> {
    const { store, now, report } = this.#options;
    const due = await store.due(now(), DUE_MAX);
    const made = await Promise.all(
      due.map(({ id, text }) =>
        this.#make(text).catch((error: unknown) => {
          // It stays due; whoever comes after the loan has ended tries again.
          report('a run of a schedule', id, error);
          return this.#blame(text, error);
        }),
      ),
    );
    return { made: made.reduce((sum, count) => sum + count, 0), isMore: due.length === DUE_MAX };
  }

  #wake(): void {
    if (!this.#isRunning) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#loop(), 0);
  }

  #loop(): void {
    const ticked = this.#ticking.then(() => this.#tickAndWait());
    this.#ticking = ticked.then((waitMs) => {
      if (!this.#isRunning) return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#loop(), waitMs);
    });
  }

  /** @returns How long nothing is due. */
  async #tickAndWait(): Promise<number> {
    const { store, now, report } = this.#options;
    try {
      if ((await this.#tick()).isMore) return 0;
      const { nextMs, isOverdue } = await store.ahead(now());
      const lookMs = isOverdue ? OVERDUE_LOOK_MS : LOOK_MS;
      return nextMs === undefined ? lookMs : Math.min(Math.max(nextMs - now(), 0), lookMs);
    } catch (error) {
      report('the schedules', '', error);
      return LOOK_MS;
    }
  }

  async #make(text: string): Promise<number> {
    const schedule = read(text);
    const { draft, progress } = schedule;
    const plan = planOf(draft);
    const { times, missed, nextMs } = dueRuns(schedule, plan, this.#options.now());
    const added = times.length === 0 ? [] : await this.#enqueue(draft, plan, times);
    // Of those that the queue has no room for the first one stays due; what is missed by then, the policy says.
    const refusedAt = added.findIndex((one) => 'refused' in one);
    const done = refusedAt === -1 ? added.length : refusedAt;
    const lastAdded = added[done - 1];
    const after: ScheduleProgress = {
      lastMs: times[done - 1] ?? progress.lastMs,
      lastJobId: lastAdded !== undefined && 'id' in lastAdded ? lastAdded.id : progress.lastJobId,
      runs: progress.runs + done,
      missed: progress.missed + missed,
      nextMs: refusedAt === -1 ? nextMs : times[refusedAt],
      lastError: refusedAt === -1 ? undefined : 'the queue is full',
    };
    await this.#swap(text, { draft, progress: after }, refusedAt !== -1);
    return added.filter((one) => 'id' in one && !one.isDuplicate).length;
  }

  async #enqueue(draft: ScheduleDraft, plan: Plan, times: readonly number[]): Promise<readonly Added[]> {
    const { queues, makeJob, random } = this.#options;
    const { id, queue, jitterMs = 0 } = draft;
    const job = makeJob(draft, await queues.definition(queue));
    const jobs = times.map((atMs) => ({
      ...job,
      runAtMs: jitterMs === 0 ? job.runAtMs : atMs + Math.floor(random() * jitterMs),
      dedup: { id: `plinth:schedule/${id}/${atMs}`, mode: 'throttle', ttlMs: rememberedMs(plan, atMs) } as const,
    }));
    if (jobs.length === 1) {
      return this.#traced(draft, times[0]!, (traceparent) => queues.enqueue(queue, [{ ...jobs[0]!, traceparent }]));
    }
    const traces = times.map((atMs) => this.#options.trace?.({ id, queue, atMs }));
    try {
      const traced = jobs.map((one, at) => ({ ...one, traceparent: traces[at]?.traceparent }));
      return await queues.enqueue(queue, traced);
    } finally {
      for (const trace of traces) trace?.end();
    }
  }

  async #traced<T>(draft: ScheduleDraft, atMs: number, work: (traceparent: string | undefined) => Promise<T>) {
    const trace = this.#options.trace?.({ id: draft.id, queue: draft.queue, atMs });
    try {
      return await work(trace?.traceparent);
    } finally {
      trace?.end();
    }
  }

  /** Writes into a schedule why it could not run, and leaves it due. */
  async #blame(text: string, error: unknown): Promise<number> {
    const { draft, progress } = read(text);
    const lastError = error instanceof Error ? error.message : String(error);
    if (lastError !== progress.lastError) {
      await this.#swap(text, { draft, progress: { ...progress, lastError } }, true).catch(() => false);
    }
    return 0;
  }

  /** @returns False: somebody else has changed it. */
  async #swap(was: string | undefined, { draft, progress }: Schedule, isLentOn = false): Promise<boolean> {
    const { store, schedulesMax: max = SCHEDULES_MAX } = this.#options;
    const text = JSON.stringify({ draft, progress });
    const swapped = await store.swap(draft.id, { was, text, nextMs: progress.nextMs, max, isLentOn });
    if (swapped === 'full') throw faultAt('', `there are ${max} schedules; that is the most`);
    return swapped === 'done';
  }
}

/** A run is known for an hour, or a day if runs are rare: as long as a replica may be away that began to make it. */
function rememberedMs(plan: Plan, atMs: number): number {
  return (plan.after(atMs) ?? Number.POSITIVE_INFINITY) - atMs < 60_000 ? HOUR_MS : 24 * HOUR_MS;
}

const read = (text: string): Schedule => JSON.parse(text) as Schedule;

function shown({ draft, progress }: Schedule): ScheduleShown {
  const { atMs, fromMs, untilMs, ...rest } = draft;
  const { nextMs, lastMs, ...counts } = progress;
  const all = { ...rest, at: atMs, from: fromMs, until: untilMs, nextRunAtMs: nextMs, lastRunAtMs: lastMs, ...counts };
  // Without the members that are not there.
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as unknown as ScheduleShown;
}
