/**
 * What a lane promises, in its simplest form: a map of jobs, each in one state. It foretells what follows from what has
 * been done; where a lane is free to choose (which group is next, which of two jobs promoted in one moment) it checks
 * that the choice is a lawful one. Time is two words: `briefly` has passed after the next pause, `long` never comes.
 */
import type { JobState, Settlement } from '../core/job.ts';

export interface ModelJob {
  readonly id: string;
  readonly group: string;
  readonly priority: number;
  readonly attempts: number;
  readonly dedupId: string | undefined;
  readonly parentId: string | undefined;
  readonly ignoresFailure: boolean;
  /** Starts in the brief time, or never. */
  readonly timesOut: boolean;
  state: JobState;
  /** Among those that wait: the smaller the sooner; of equal ones either. 0: was given back, and is the next. */
  rank: number;
  attempt: number;
  stalls: number;
  token: string | undefined;
  /** What ends soon: its delay, its lease or its time to live. */
  isBrief: boolean;
  expires: boolean;
  cancelReason: string | undefined;
  reason: string | undefined;
  pendingChildren: number;
  /** It has told its parent once how it ended. */
  hasTold: boolean;
}

export type NewModelJob = Pick<ModelJob, 'id' | 'group' | 'priority' | 'attempts' | 'state' | 'isBrief'> &
  Partial<Pick<ModelJob, 'dedupId' | 'parentId' | 'ignoresFailure' | 'timesOut' | 'expires' | 'pendingChildren'>>;

const UNFINISHED = new Set<JobState>(['waiting', 'scheduled', 'retrying', 'leased', 'waiting-children']);
/** Neither ended nor in a worker's hands. */
const IDLE = new Set<JobState>(['waiting', 'scheduled', 'retrying', 'waiting-children']);

export class LaneModel {
  readonly jobs = new Map<string, ModelJob>();
  readonly totals = { enqueued: 0, completed: 0, failed: 0, retried: 0, dead: 0, stalled: 0, cancelled: 0, expired: 0 };
  readonly pausedGroups = new Set<string>();
  isPaused = false;
  readonly #maxStalls: number;
  readonly #keepsOrder: boolean;
  /** Of each dedup id the unfinished job that holds it. */
  readonly #holders = new Map<string, string>();
  /** What one operation lets wait has one rank. */
  #moment = 1;
  #lastToken = -1n;
  /** Children whose parents have not heard of their end: they do when the operation is done as a whole. */
  #ended: ModelJob[] = [];

  /** @param keepsOrder - False: the lane promises no strict order within a group. */
  constructor(maxStalls: number, keepsOrder = true) {
    this.#maxStalls = maxStalls;
    this.#keepsOrder = keepsOrder;
  }

  /** The unfinished job that is known to hold this id. */
  holderOf(dedupId: string): string | undefined {
    const id = this.#holders.get(dedupId);
    return id !== undefined && this.jobs.has(id) ? id : undefined;
  }

  /**
   * A new job was refused for this one's sake, which nobody knew to hold the id.
   * @returns Whether it may: it was redriven, and a lane may give it the id again.
   */
  findHolder(dedupId: string, id: string): boolean {
    const job = this.jobs.get(id);
    if (job?.dedupId !== dedupId || !UNFINISHED.has(job.state)) return false;
    this.#holders.set(dedupId, id);
    return true;
  }

  add(wish: NewModelJob): void {
    this.totals.enqueued += 1;
    this.jobs.set(wish.id, {
      ...{ dedupId: undefined, parentId: undefined, ignoresFailure: false, timesOut: false, expires: false },
      ...{ pendingChildren: 0, attempt: 0, stalls: 0, token: undefined, cancelReason: undefined, reason: undefined },
      ...{ hasTold: false, rank: ++this.#moment },
      ...wish,
    });
    if (wish.dedupId !== undefined) this.#holders.set(wish.dedupId, wish.id);
  }

  waiting(): ModelJob[] {
    return [...this.jobs.values()].filter(({ state }) => state === 'waiting');
  }

  /** How many a lease of so many must give. */
  leasable(max: number): number {
    if (this.isPaused) return 0;
    return Math.min(max, this.waiting().filter(({ group }) => !this.pausedGroups.has(group)).length);
  }

  /** @returns What is wrong with giving this job now. */
  lease(id: string, token: string, attempt: number, isBrief: boolean): string | undefined {
    const job = this.jobs.get(id);
    if (job?.state !== 'waiting') return `${id} is ${job?.state}, not waiting`;
    if (this.isPaused || this.pausedGroups.has(job.group)) return `${id} is paused`;
    const sooner = this.waiting().find((other) => other.group === job.group && isSooner(other, job));
    if (this.#keepsOrder && sooner !== undefined) return `${JSON.stringify(sooner)} is before ${JSON.stringify(job)}`;
    if (BigInt(token) <= this.#lastToken) return `token ${token} is not greater than ${this.#lastToken}`;
    this.#lastToken = BigInt(token);
    job.attempt += 1;
    if (job.attempt !== attempt) return `attempt ${attempt} of ${id} should be ${job.attempt}`;
    job.state = 'leased';
    job.token = token;
    job.isBrief = isBrief || job.timesOut;
    job.expires = false;
    return undefined;
  }

  /** Why a settlement or renewal would be refused. */
  refusal({ id, token }: { id: string; token: string }): 'lost' | 'unknown' | undefined {
    const job = this.jobs.get(id);
    if (job === undefined) return 'unknown';
    return job.state === 'leased' && job.token === token ? undefined : 'lost';
  }

  /** @param isBrief - Of failures: the retry is soon. */
  settle(settlements: readonly Settlement[], isBrief: boolean): string[] {
    this.#moment += 1;
    const outcomes = settlements.map((settlement) => this.#settleOne(settlement, isBrief));
    this.#tellParents();
    return outcomes;
  }

  #settleOne(settlement: Settlement, isBrief: boolean): string {
    const refused = this.refusal(settlement);
    if (refused !== undefined) return refused;
    const job = this.jobs.get(settlement.id)!;
    if (job.cancelReason !== undefined) {
      if (settlement.kind === 'fail') this.totals.failed += 1;
      return this.#end(job, 'cancelled', job.cancelReason);
    }
    if (settlement.kind === 'ack') return this.#end(job, 'completed', undefined);
    if (settlement.kind === 'release') return this.#giveBack(job);
    return this.#fail(job, settlement.isFinal, isBrief);
  }

  #giveBack(job: ModelJob): JobState {
    job.attempt -= 1;
    this.#wait(job, 0);
    return job.state;
  }

  #fail(job: ModelJob, isFinal: boolean, isBrief: boolean): JobState {
    this.totals.failed += 1;
    if (isFinal || job.attempt >= job.attempts) return this.#end(job, 'dead', undefined);
    this.totals.retried += 1;
    job.state = 'retrying';
    job.token = undefined;
    job.isBrief = isBrief;
    return job.state;
  }

  cancel(id: string, reason: string): JobState | undefined {
    this.#moment += 1;
    const job = this.jobs.get(id);
    if (job === undefined) return undefined;
    if (job.state === 'leased') job.cancelReason ??= reason;
    else if (UNFINISHED.has(job.state)) this.#end(job, 'cancelled', reason);
    this.#tellParents();
    return job.state;
  }

  promote(id: string): boolean {
    const job = this.jobs.get(id);
    if (job?.state !== 'scheduled' && job?.state !== 'retrying') return false;
    this.#wait(job, ++this.#moment);
    return true;
  }

  /** @returns What is wrong with redriving these. */
  redrive(ids: readonly string[], max: number): string | undefined {
    const dead = [...this.jobs.values()].filter(({ state }) => state === 'dead').length;
    if (ids.length !== Math.min(max, dead)) return `${ids.length} of ${dead} dead were redriven, ${max} allowed`;
    this.#moment += 1;
    for (const id of ids) {
      const job = this.jobs.get(id);
      if (job?.state !== 'dead') return `${id} is ${job?.state}, not dead`;
      Object.assign(job, { attempt: 0, stalls: 0, reason: undefined, cancelReason: undefined });
      Object.assign(job, { expires: false, pendingChildren: 0 });
      this.#wait(job, this.#moment);
    }
    return undefined;
  }

  /** @returns How many went. */
  remove(states: readonly JobState[]): number {
    const gone = [...this.jobs.values()].filter(({ state }) => states.includes(state));
    for (const { id } of gone) this.jobs.delete(id);
    return gone.length;
  }

  /** @returns How many went. To a parent a child that was taken away is as one that was cancelled. */
  drain(isScheduledToo: boolean): number {
    this.#moment += 1;
    const states: JobState[] = isScheduledToo ? ['waiting', 'scheduled', 'retrying'] : ['waiting'];
    let count = 0;
    for (const state of states) {
      const gone = [...this.jobs.values()].filter((job) => job.state === state);
      gone.sort((one, other) => Number(one.id) - Number(other.id));
      count += this.remove([state]);
      for (const job of gone) this.#tellLater(job);
      this.#tellParents();
    }
    return count;
  }

  /**
   * The brief time is over: delays, leases, attempts and lives that were brief end.
   * @param first - Ids of those that the lane has ended first, in its order.
   */
  pass(first: readonly string[]): void {
    this.#moment += 1;
    for (const id of new Set([...first, ...this.jobs.keys()])) {
      const job = this.jobs.get(id);
      if (job === undefined) continue;
      if (job.expires && (job.state === 'waiting' || job.state === 'scheduled')) this.#expire(job);
      else if (job.isBrief && (job.state === 'scheduled' || job.state === 'retrying')) this.#wait(job, this.#moment);
      else if (job.isBrief && job.state === 'leased') this.#reap(job);
    }
    this.#tellParents();
  }

  #expire(job: ModelJob): void {
    this.totals.expired += 1;
    this.#end(job, 'dead', 'expired');
  }

  #reap(job: ModelJob): void {
    if (job.timesOut) {
      if (job.cancelReason === undefined) {
        this.#fail(job, false, false);
        return;
      }
      this.totals.failed += 1;
    } else {
      this.totals.stalled += 1;
      job.stalls += 1;
    }
    if (job.cancelReason !== undefined) this.#end(job, 'cancelled', job.cancelReason);
    else if (job.stalls > this.#maxStalls) this.#end(job, 'dead', 'stalled');
    else this.#giveBack(job);
  }

  #wait(job: ModelJob, rank: number): void {
    job.state = 'waiting';
    job.token = undefined;
    job.isBrief = false;
    job.rank = rank;
  }

  #end(job: ModelJob, state: 'completed' | 'dead' | 'cancelled', reason: string | undefined): JobState {
    job.state = state;
    job.token = undefined;
    job.isBrief = false;
    job.reason = reason;
    this.totals[state] += 1;
    if (job.dedupId !== undefined && this.#holders.get(job.dedupId) === job.id) this.#holders.delete(job.dedupId);
    if (job.pendingChildren > 0) this.#orphan(job);
    this.#tellLater(job);
    return state;
  }

  #tellLater(child: ModelJob): void {
    if (child.hasTold || child.parentId === undefined) return;
    child.hasTold = true;
    this.#ended.push(child);
  }

  /** What one ends, its parent hears of before the next one's does. */
  #tellParents(): void {
    const ended = this.#ended;
    this.#ended = [];
    for (const child of ended) {
      this.#tell(child);
      this.#tellParents();
    }
  }

  #tell(child: ModelJob): void {
    const parent = this.jobs.get(child.parentId!);
    if (parent?.state !== 'waiting-children') return;
    parent.pendingChildren -= 1;
    if (child.state !== 'completed' && !child.ignoresFailure) this.#end(parent, 'dead', 'child');
    else if (parent.pendingChildren === 0) this.#wait(parent, this.#moment);
  }

  /** What a parent waited for and nobody has in hand is not needed any more. */
  #orphan(parent: ModelJob): void {
    for (const child of this.jobs.values()) {
      if (child.parentId !== parent.id || child.hasTold || !IDLE.has(child.state)) continue;
      child.hasTold = true;
      this.#end(child, 'cancelled', 'parent');
    }
  }
}

/** Must `one` of a group be leased before `other`? */
function isSooner(one: ModelJob, other: ModelJob): boolean {
  // Given back: before those of its priority; whether before the urgent ones too is the lane's to say.
  if (one.priority !== other.priority) return one.priority < other.priority && other.rank !== 0;
  return one.rank < other.rank;
}
