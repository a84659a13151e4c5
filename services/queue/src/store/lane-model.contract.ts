/**
 * A lane and its model, driven by the same random operations: every answer is checked, and after some of them every job
 * and every figure. What is brief ends in the pause that follows at once, so that it is never a matter of luck whether
 * something has ended yet.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '@jest/globals';
import type { SeededRandom } from '@plinth/testkit';
import { type Added, JOB_STATES, type LeasedJob, type NewJob, type Settlement } from '../core/job.ts';
import { LaneModel, type ModelJob, type NewModelJob } from './lane.model.ts';
import type { FlowNode, Lane, LeaseAsk } from './lane.ts';
import { EVEN_GROUPS, LONG_MS, NO_LIMITS, newJob, outcomesOf } from './lane-bench.contract.ts';

const GROUPS = ['', 'a', 'b{c}'];
const PRIORITIES = [0, 0, 0, 1, 9];
const MAX_STALLS = 1;
const BRIEF_MS = 3;
const KINDS = ['ack', 'ack', 'fail', 'fail', 'final', 'release'] as const;
const MOSTLY_ACKS = [...Array.from({ length: 24 }, () => 'ack' as const), ...KINDS] as const;

/** How a lane is driven. */
export interface PairOptions {
  /** False: the lane promises no strict order within a group. Default true. */
  readonly keepsOrder?: boolean;
  /**
   * Mostly plain jobs, enqueued, leased, settled, renewed and left alone by the dozen: for lanes that keep what was leased
   * together as one thing. Default false.
   */
  readonly byTheDozen?: boolean;
}

interface Wish {
  readonly job: NewJob;
  readonly modelled: Omit<NewModelJob, 'id'>;
}

export class LanePair {
  readonly #lane: Lane;
  readonly #byTheDozen: boolean;
  readonly #queue: string;
  readonly #random: SeededRandom;
  readonly #model: LaneModel;
  /** Every lease that there ever was, also such as are over. */
  readonly #leases: { id: string; token: string }[] = [];
  /** The latest of them as they were leased. */
  readonly #rounds: (readonly { id: string; token: string }[])[] = [];
  /** For the message of a failure. */
  readonly #steps: string[] = [];

  constructor(lane: Lane, queue: string, random: SeededRandom, options: PairOptions = {}) {
    this.#model = new LaneModel(MAX_STALLS, options.keepsOrder ?? true);
    this.#byTheDozen = options.byTheDozen ?? false;
    this.#lane = lane;
    this.#queue = queue;
    this.#random = random;
  }

  async run(steps: number): Promise<void> {
    await this.#lane.configure(this.#queue, { ...NO_LIMITS, maxStalls: MAX_STALLS }, EVEN_GROUPS);
    try {
      for (let step = 0; step < steps; step++) {
        await this.#step();
        if (step % 25 === 24) await this.#compare();
      }
      await this.#compare();
    } catch (error) {
      throw new Error(`seed ${this.#random.seed}, after: ${this.#steps.join('; ')}`, { cause: error });
    }
  }

  async #step(): Promise<void> {
    const roll = this.#random.int(100);
    // A drain takes 1,000 in one go, and the model all that wait.
    if (roll < 22 && this.#model.waiting().length < 800) await this.#add();
    else if (roll < 27 && this.#lane.addFlow !== undefined) await this.#addFlow();
    else if (roll < 45) await this.#lease();
    else if (roll < 72) await this.#settle();
    else if (roll < 77) await this.#renew();
    else if (roll < 83) await this.#cancel();
    else if (roll < 88) await this.#promote();
    else if (roll < 92) await this.#redrive();
    else if (roll < 96) await this.#pause();
    else if (roll < 97) await this.#drain();
    else if (roll < 98) await this.#purge();
    else await this.#pass();
  }

  #note(step: string): void {
    this.#steps.push(step);
  }

  /** Few, or by the dozen. */
  #count(few: number): number {
    const isMany = this.#byTheDozen && this.#random.int(3) > 0;
    return 1 + this.#random.int(isMany ? 40 : few);
  }

  /** One of which the lane has thousands: nothing about it is special but its group. */
  #plainWish(): Wish {
    const group = this.#random.pick(GROUPS);
    const wish = { group, attempts: 2, name: 'plain', retain: { count: 2_000, ageMs: LONG_MS } };
    return { job: newJob(wish), modelled: { ...wish, priority: 0, state: 'waiting', isBrief: false } };
  }

  /** A job and what the model is told of it. */
  #wish(mayExpire: boolean): Wish {
    const random = this.#random;
    if (this.#byTheDozen && random.int(10) > 0) return this.#plainWish();
    const passing = mayExpire ? 'expires' : 'now';
    const kind = random.pick(['now', 'now', 'now', 'now', 'later', 'soon', passing, 'times-out'] as const);
    const [group, priority, attempts] = [random.pick(GROUPS), random.pick(PRIORITIES), 1 + random.int(3)];
    const dedupId = random.int(5) === 0 && kind === 'now' ? random.pick(['x', 'y']) : undefined;
    const runAtMs = { later: Date.now() + LONG_MS, soon: Date.now() + BRIEF_MS + 5 }[kind as string] ?? 0;
    const wish = {
      ...{ group, priority, attempts, runAtMs, name: kind, retain: { count: 10_000, ageMs: LONG_MS } },
      dedup: dedupId === undefined ? undefined : { id: dedupId, mode: 'simple' as const, ttlMs: undefined },
      expiresAtMs: kind === 'expires' ? Date.now() + BRIEF_MS : 0,
      timeoutMs: kind === 'times-out' ? BRIEF_MS : 0,
      // Of attempts that timed out.
      backoff: { type: 'fixed' as const, delayMs: LONG_MS, factor: 1, maxMs: LONG_MS, jitter: 0 },
    };
    const state = runAtMs === 0 ? ('waiting' as const) : ('scheduled' as const);
    const ends = { isBrief: kind === 'soon', expires: kind === 'expires', timesOut: kind === 'times-out' };
    return { job: newJob(wish), modelled: { group, priority, attempts, dedupId, state, ...ends } };
  }

  async #add(): Promise<void> {
    const ask = this.#lane.addLease !== undefined && this.#random.int(3) === 0 ? this.#ask(this.#count(5)) : undefined;
    // Who is leased in the same call may have expired on the way there, and nobody could say whether he had.
    const wishes = Array.from({ length: this.#count(4) }, () => this.#wish(ask === undefined));
    const jobs = wishes.map(({ job }) => job);
    const answer = ask && (await this.#lane.addLease!(this.#queue, jobs, ask));
    this.#compareAdded(wishes, answer?.added ?? (await this.#lane.add(this.#queue, jobs)));
    const isPassing = answer !== undefined && this.#compareFirstLeases(answer.jobs, ask!);
    if (isPassing || wishes.some(({ modelled }) => modelled.isBrief || modelled.expires)) await this.#pass();
  }

  #compareAdded(wishes: readonly Wish[], added: readonly Added[]): void {
    for (const [at, { modelled }] of wishes.entries()) {
      const answer = added[at] as { id: string; state: string; isDuplicate: boolean };
      const { dedupId } = modelled;
      this.#note(`add ${answer.id} ${modelled.state} p${modelled.priority} '${modelled.group}' ${dedupId ?? ''}`);
      const holder = dedupId === undefined ? undefined : this.#model.holderOf(dedupId);
      if (answer.isDuplicate) {
        if (holder !== undefined) expect(answer.id).toBe(holder);
        else expect(this.#model.findHolder(dedupId!, answer.id)).toBe(true);
      } else {
        // On its way there its time may have come.
        const isDue = modelled.isBrief && answer.state === 'waiting';
        const state = isDue ? 'waiting' : modelled.state;
        expect([answer.state, holder]).toEqual([state, undefined]);
        expect(this.#model.jobs.has(answer.id)).toBe(false);
        this.#model.add({ ...modelled, id: answer.id, state });
      }
    }
  }

  /** A call may bring fewer than there are, but not none. @returns Whether time must pass now. */
  #compareFirstLeases(jobs: readonly LeasedJob[], ask: LeaseAsk): boolean {
    const expected = this.#model.leasable(ask.max);
    expect(jobs.length).toBeLessThanOrEqual(expected);
    if (expected > 0) expect(jobs.length).toBeGreaterThan(0);
    return this.#compareLeased(jobs, ask.leaseMs === BRIEF_MS);
  }

  async #addFlow(): Promise<void> {
    const random = this.#random;
    const leaf = (): FlowNode => {
      const wish = { group: random.pick(GROUPS), priority: random.pick(PRIORITIES), attempts: 1 + random.int(2) };
      return { job: newJob(wish), onFailure: random.pick(['fail-parent', 'ignore'] as const), children: [] };
    };
    const some = () => Array.from({ length: 1 + random.int(2) }, leaf);
    const root: FlowNode = { ...leaf(), children: [...some(), { ...leaf(), children: some() }] };
    const { id, childIds } = await this.#lane.addFlow!(this.#queue, root);
    await this.#modelTree(root, id, undefined);
    this.#note(`flow ${id} of ${childIds.join()}`);
  }

  /** Ids of grandchildren are not in the answer: they are found by their parents. */
  async #modelTree(node: FlowNode, id: string, parentId: string | undefined): Promise<void> {
    const { group, priority, attempts } = node.job;
    const pendingChildren = node.children.length;
    const state = pendingChildren > 0 ? ('waiting-children' as const) : ('waiting' as const);
    const link = { parentId, ignoresFailure: node.onFailure === 'ignore', pendingChildren };
    const childIds = pendingChildren === 0 ? [] : await this.#childrenOf(id);
    expect(childIds).toHaveLength(pendingChildren);
    for (const [at, child] of node.children.entries()) await this.#modelTree(child, childIds[at]!, id);
    this.#model.add({ id, group, priority, attempts, state, isBrief: false, ...link });
  }

  async #childrenOf(parentId: string): Promise<string[]> {
    const found = (await this.#all()).filter((job) => job.parentId === parentId).map(({ id }) => id);
    return found.sort((a, b) => Number.parseInt(a, 36) - Number.parseInt(b, 36));
  }

  /** Now and then for a moment only. */
  #ask(max: number): LeaseAsk {
    return { max, leaseMs: this.#random.int(5) === 0 ? BRIEF_MS : LONG_MS, worker: 'w' };
  }

  async #lease(): Promise<void> {
    const ask = this.#ask(this.#count(5));
    const expected = this.#model.leasable(ask.max);
    let got = 0;
    let isPassing = false;
    while (got < ask.max) {
      const { jobs } = await this.#lane.lease(this.#queue, { ...ask, max: ask.max - got });
      if (jobs.length === 0) break;
      got += jobs.length;
      if (this.#compareLeased(jobs, ask.leaseMs === BRIEF_MS)) isPassing = true;
    }
    expect(got).toBe(expected);
    if (isPassing) await this.#pass();
  }

  /** @returns Whether time must pass now: a lease or an attempt is over in a moment. */
  #compareLeased(jobs: readonly LeasedJob[], isBrief: boolean): boolean {
    let isPassing = isBrief && jobs.length > 0;
    this.#rounds.push(jobs.map(({ id, token }) => ({ id, token })));
    if (this.#rounds.length > 6) this.#rounds.shift();
    for (const { id, token, attempt } of jobs) {
      this.#note(`lease ${id} ${token}${isBrief ? ' briefly' : ''}`);
      expect(this.#model.lease(id, token, attempt, isBrief)).toBeUndefined();
      this.#leases.push({ id, token });
      isPassing ||= this.#model.jobs.get(id)!.timesOut;
    }
    return isPassing;
  }

  /** Mostly one that is, at times one that was or never was. */
  #someLease(): { id: string; token: string } {
    const random = this.#random;
    const leased = [...this.#model.jobs.values()].filter(({ state }) => state === 'leased');
    const roll = random.int(10);
    if (roll < 7 && leased.length > 0) return leaseOf(random.pick(leased));
    if (roll < 9 && this.#leases.length > 0) return random.pick(this.#leases);
    return random.pick([{ id: 'nobody', token: '1' }, ...leased.map(({ id }) => ({ id, token: '0' }))]);
  }

  #settlementOf(lease: { id: string; token: string }, isBrief: boolean): Settlement {
    const kind = this.#random.pick(this.#byTheDozen ? MOSTLY_ACKS : KINDS);
    if (kind === 'ack') return { ...lease, kind, result: this.#random.int(3) > 0 ? undefined : '1' };
    if (kind === 'release') return { ...lease, kind };
    const error = { type: 'E', message: 'm', stack: undefined };
    const retryAfterMs = isBrief ? BRIEF_MS : LONG_MS;
    return { ...lease, kind: 'fail', error, retryAfterMs, isFinal: kind === 'final' };
  }

  async #settle(): Promise<void> {
    const isBrief = this.#random.int(4) === 0;
    // Who says two things of one lease in one call is not promised which of them counts.
    const said = new Map<string, Settlement>();
    const settlements = this.#someLeases(3).map((lease): Settlement => {
      const key = `${lease.id}/${lease.token}`;
      const settlement = said.get(key) ?? this.#settlementOf(lease, isBrief);
      said.set(key, settlement);
      return { ...settlement };
    });
    this.#note(`settle ${settlements.map(({ kind, id, token }) => `${kind} ${id}/${token}`).join(', ')}`);
    const settled = await this.#lane.settle(this.#queue, settlements);
    const expected = this.#model.settle(settlements, isBrief);
    expect(outcomesOf(settled)).toEqual(expected);
    if (isBrief && expected.includes('retrying')) await this.#pass();
  }

  async #renew(): Promise<void> {
    const leases = this.#someLeases(1);
    const renewals = leases.map((lease) => ({ ...lease, leaseMs: LONG_MS, progress: '1', log: ['line'] }));
    const renewed = await this.#lane.renew(this.#queue, renewals);
    this.#note(`renew ${leases.map(({ id }) => id).join()}`);
    for (const [at, lease] of leases.entries()) {
      const refused = this.#model.refusal(lease);
      if (refused !== undefined) expect(renewed[at]).toEqual({ id: lease.id, refused });
      else expect(renewed[at]).toMatchObject({ id: lease.id, cancel: this.#model.jobs.get(lease.id)!.cancelReason });
    }
  }

  /** At times all that were leased together, at times a part of them; some twice. */
  #someLeases(few: number): readonly { id: string; token: string }[] {
    const random = this.#random;
    const together = this.#byTheDozen && random.int(3) > 0 ? random.pick([...this.#rounds, []]) : [];
    if (together.length === 0) return Array.from({ length: this.#count(few) }, () => this.#someLease());
    const roll = random.int(4);
    if (roll === 0) return together.filter(() => random.int(2) === 0);
    return roll === 1 ? random.shuffle(together) : together;
  }

  #someIds(): string[] {
    const ids = [...this.#model.jobs.keys(), 'nobody'];
    return Array.from({ length: 1 + this.#random.int(3) }, () => this.#random.pick(ids));
  }

  async #cancel(): Promise<void> {
    const ids = this.#someIds();
    this.#note(`cancel ${ids.join()}`);
    const states = await this.#lane.cancel(this.#queue, ids, 'why');
    expect(states).toEqual(ids.map((id) => this.#model.cancel(id, 'why')));
  }

  async #promote(): Promise<void> {
    const later = [...this.#model.jobs.values()].filter(({ state }) => state === 'scheduled' || state === 'retrying');
    const id = this.#random.pick([...later.map((job) => job.id), ...this.#someIds()]);
    this.#note(`promote ${id}`);
    expect(await this.#lane.promote(this.#queue, id)).toBe(this.#model.promote(id));
  }

  async #redrive(): Promise<void> {
    const max = 1 + this.#random.int(4);
    const ids = await this.#lane.redrive(this.#queue, {}, max);
    this.#note(`redrive ${ids.join()}`);
    expect(this.#model.redrive(ids, max)).toBeUndefined();
  }

  async #pause(): Promise<void> {
    const group = this.#random.int(2) === 0 ? undefined : this.#random.pick(GROUPS);
    const groups = this.#model.pausedGroups;
    const isPaused = group === undefined ? this.#model.isPaused : groups.has(group);
    this.#note(`${isPaused ? 'resume' : 'pause'} ${group === undefined ? 'all' : `'${group}'`}`);
    if (isPaused) await this.#lane.resume(this.#queue, group);
    else await this.#lane.pause(this.#queue, group);
    if (group === undefined) this.#model.isPaused = !isPaused;
    else if (isPaused) groups.delete(group);
    else groups.add(group);
  }

  async #drain(): Promise<void> {
    const isScheduledToo = this.#random.int(2) === 0;
    this.#note(`drain ${isScheduledToo}`);
    const expected = this.#model.drain(isScheduledToo);
    expect(await this.#lane.drain(this.#queue, isScheduledToo)).toBe(expected);
  }

  async #purge(): Promise<void> {
    const states = this.#random.shuffle(['completed', 'dead', 'cancelled'] as const).slice(0, 1 + this.#random.int(3));
    this.#note(`purge ${states.join()}`);
    expect(await this.#lane.purge(this.#queue, states)).toBe(this.#model.remove(states));
  }

  async #pass(): Promise<void> {
    await sleep(2 * BRIEF_MS + 5);
    this.#note('pass');
    const ticked = await this.#lane.tick(this.#queue);
    this.#model.pass(ticked.stalled.map(({ id }) => id));
    for (const { id, state } of [...ticked.stalled, ...ticked.timedOut]) {
      const job = this.#model.jobs.get(id);
      // What was given back, and then cancelled with a parent that died of the same tick, is told of as given back.
      if (job?.reason !== 'parent') expect([id, state]).toEqual([id, job?.state]);
    }
  }

  async #all() {
    const jobs = [];
    let cursor: string | undefined;
    do {
      const page = await this.#lane.list(this.#queue, { states: JOB_STATES }, { limit: 500, cursor });
      jobs.push(...page.jobs);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return jobs;
  }

  /** Every job is where the model has it, with its attempts, and the figures agree. */
  async #compare(): Promise<void> {
    const { counts, totals } = await this.#lane.stats(this.#queue);
    const jobs = [...this.#model.jobs.values()];
    const line = (job: Pick<ModelJob, 'id' | 'state' | 'stalls' | 'group'>) =>
      `${job.id} ${job.state} ${job.stalls} '${job.group}'`;
    expect((await this.#all()).map(line).sort()).toEqual(jobs.map(line).sort());
    const expected = Object.fromEntries(
      JOB_STATES.map((state) => [state, jobs.filter((job) => job.state === state).length]),
    );
    expect(counts).toEqual(expected);
    expect(totals).toEqual(this.#model.totals);
  }
}

const leaseOf = ({ id, token }: ModelJob): { id: string; token: string } => ({ id, token: token! });
