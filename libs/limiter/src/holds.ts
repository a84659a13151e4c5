/**
 * Places that are held for a while: how much may go on at once. A place is lent: who does not say in time that it goes
 * on (`keep`) loses it at its deadline, exactly, so that a crash frees what it held. Two heaps and no timer: the holds
 * of a key by their deadlines, and the keys by the earliest of theirs.
 */
import { AdaptiveLimit, type Outturn } from './adaptive-limit.ts';
import type { Charge } from './charge.ts';
import { type LimiterClock, neverBack } from './clock.ts';
import { DeadlineHeap, type Ending } from './deadline-heap.ts';
import type { Hold, HoldAsk, HoldRecord } from './hold.ts';
import { type Policy, policyOf } from './policy.ts';

export interface HoldsOptions {
  clock: LimiterClock;
  /** The most places that are held, over all keys. Default 1,000,000. */
  holdsMax?: number | undefined;
}

/** There is no room for another hold, over all keys. Nothing was taken. */
export class HoldsFull extends Error {
  override name = 'HoldsFull';
}

/** How long the limit that an `adaptive` key has found is remembered when nobody holds a place of it. */
const IDLE_US = 600_000_000;

interface Held extends Ending {
  readonly id: string;
  readonly places: number;
}

/** One key. It ends with its earliest hold, or when it was idle for long. */
interface Group extends Ending {
  readonly key: string;
  policy: Policy;
  held: number;
  adaptive: AdaptiveLimit | undefined;
  readonly holds: Map<string, Held>;
  readonly deadlines: DeadlineHeap<Held>;
  usedUs: number;
}

/** Concurrency limits of one process, fixed and adaptive. Cost: logarithmic in the holds of a key. */
export class Holds {
  readonly #nowUs: () => number;
  readonly #holdsMax: number;
  readonly #groups = new Map<string, Group>();
  readonly #deadlines = new DeadlineHeap<Group>();
  #size = 0;

  constructor({ clock, holdsMax = 1_000_000 }: HoldsOptions) {
    this.#nowUs = neverBack(() => clock.nowUs());
    this.#holdsMax = holdsMax;
  }

  /** Holds, over all keys; those that are past their deadline count until they are met or swept. */
  get size(): number {
    return this.#size;
  }

  /** Keys that are known. */
  get keys(): number {
    return this.#groups.size;
  }

  /**
   * Takes places: all that were asked for, or none.
   *
   * @throws HoldsFull when there is no room for another hold; TypeError for a limit by rate.
   */
  hold(ask: HoldAsk): Hold {
    const { charge, id, holdMs } = ask;
    const nowUs = this.#nowUs();
    const group = this.#group(charge, nowUs);
    const untilUs = nowUs + holdMs * 1_000;
    const known = group.holds.get(id);
    if (known !== undefined) {
      this.#prolong(group, known, untilUs);
      return answer(group, id, true, 0);
    }
    if (!hasPlace(group, ask)) {
      const denied = answer(group, id, false, retryAfterUs(group, charge.cost, nowUs));
      this.#settle(group, nowUs);
      return denied;
    }
    if (charge.cost > 0) this.#add(group, { id, places: charge.cost, untilUs }, nowUs);
    else this.#settle(group, nowUs);
    return answer(group, id, true, 0);
  }

  /** Keeps a place for `holdMs` from now. False: it was lost. */
  keep(charge: Charge, id: string, holdMs: number): boolean {
    const nowUs = this.#nowUs();
    const group = this.#known(charge.key, nowUs);
    const held = group?.holds.get(id);
    if (group === undefined || held === undefined) return false;
    this.#prolong(group, held, nowUs + holdMs * 1_000);
    return true;
  }

  /** Frees a place and says what its work came to. False: it was lost already, and what it came to counts all the same. */
  release(charge: Charge, id: string, outturn: Outturn = {}): boolean {
    const nowUs = this.#nowUs();
    const group = this.#known(charge.key, nowUs);
    if (group === undefined) return false;
    group.adaptive?.sample(outturn, group.held, nowUs);
    const held = group.holds.get(id);
    if (held !== undefined) this.#drop(group, held);
    group.usedUs = nowUs;
    this.#settle(group, nowUs);
    return held !== undefined;
  }

  /** Frees what is past its deadline, of `budget` keys at the most. About once a second. @returns How many holds it freed. */
  sweep(budget = 10_000): number {
    const nowUs = this.#nowUs();
    const before = this.#size;
    for (let left = budget; left > 0; left--) {
      const group = this.#deadlines.earliest;
      if (group === undefined || group.untilUs > nowUs) break;
      this.#expire(group, nowUs);
      this.#settle(group, nowUs);
    }
    return before - this.#size;
  }

  /** Holds as plain data, for another process to go on with. */
  *export(filter: (key: string) => boolean = () => true): Generator<HoldRecord> {
    const nowUs = this.#nowUs();
    for (const group of this.#groups.values()) {
      if (!filter(group.key)) continue;
      this.#expire(group, nowUs);
      const limit = group.adaptive?.exact ?? group.policy.limit;
      const { key, policy } = group;
      if (group.holds.size === 0 && group.adaptive !== undefined) yield { key, spec: policy.spec, limit };
      for (const { id, places, untilUs } of group.holds.values()) {
        yield { key, spec: policy.spec, limit, hold: { id, places, leftMs: (untilUs - nowUs) / 1_000 } };
      }
    }
  }

  /** Goes on with holds of another process, also beyond the limit: they are held. @throws HoldsFull when there is no room. */
  import(records: Iterable<HoldRecord>): void {
    const nowUs = this.#nowUs();
    for (const { key, spec, limit, hold } of records) {
      const isNew = !this.#groups.has(key);
      const group = this.#group({ key, policy: policyOf(spec), cost: 0 }, nowUs);
      if (isNew && group.adaptive !== undefined) group.adaptive = new AdaptiveLimit(group.policy, nowUs, limit);
      if (hold !== undefined && !group.holds.has(hold.id)) {
        this.#add(group, { id: hold.id, places: hold.places, untilUs: nowUs + hold.leftMs * 1_000 }, nowUs);
      } else this.#settle(group, nowUs);
    }
  }

  #group({ key, policy }: Charge, nowUs: number): Group {
    if (policy.algorithm !== undefined)
      throw new TypeError(`a limit of ${policy.name} is decided by a Ledger, not by Holds`);
    const known = this.#known(key, nowUs);
    if (known !== undefined) {
      if (known.policy !== policy) adopt(known, policy, nowUs);
      return known;
    }
    const adaptive = policy.name === 'adaptive' ? new AdaptiveLimit(policy, nowUs) : undefined;
    const deadlines = new DeadlineHeap<Held>();
    return { key, policy, held: 0, adaptive, holds: new Map(), deadlines, usedUs: nowUs, untilUs: 0, place: -1 };
  }

  /** A key as it is now. */
  #known(key: string, nowUs: number): Group | undefined {
    const group = this.#groups.get(key);
    if (group !== undefined && group.untilUs <= nowUs) this.#expire(group, nowUs);
    return group;
  }

  #add(group: Group, { id, places, untilUs }: { id: string; places: number; untilUs: number }, nowUs: number): void {
    if (this.#size >= this.#holdsMax) this.sweep(Number.POSITIVE_INFINITY);
    if (this.#size >= this.#holdsMax) throw new HoldsFull(`${this.#holdsMax} places are held, which is the most`);
    const held: Held = { id, places, untilUs, place: -1 };
    group.holds.set(id, held);
    group.deadlines.put(held, untilUs);
    group.held += places;
    group.usedUs = nowUs;
    this.#size++;
    this.#settle(group, nowUs);
  }

  #prolong(group: Group, held: Held, untilUs: number): void {
    group.deadlines.put(held, untilUs);
    this.#deadlines.put(group, group.deadlines.earliest!.untilUs);
  }

  #drop(group: Group, held: Held): void {
    group.holds.delete(held.id);
    group.deadlines.remove(held);
    group.held -= held.places;
    this.#size--;
  }

  #expire(group: Group, nowUs: number): void {
    for (
      let held = group.deadlines.earliest;
      held !== undefined && held.untilUs <= nowUs;
      held = group.deadlines.earliest
    ) {
      this.#drop(group, held);
    }
  }

  /** Puts a key where its earliest deadline says, or forgets it when there is nothing left to remember. */
  #settle(group: Group, nowUs: number): void {
    const idleUntilUs = group.adaptive === undefined ? 0 : group.usedUs + IDLE_US;
    const untilUs = group.deadlines.earliest?.untilUs ?? idleUntilUs;
    if (group.holds.size === 0 && untilUs <= nowUs) {
      this.#groups.delete(group.key);
      this.#deadlines.remove(group);
      return;
    }
    this.#groups.set(group.key, group);
    this.#deadlines.put(group, untilUs);
  }
}

function limitOf({ adaptive, policy }: Group): number {
  return adaptive?.places ?? policy.limit;
}

/** A class may take a place only while less than its share of the present limit is held, by whatever class. */
function hasPlace(group: Group, { charge, priority }: HoldAsk): boolean {
  const limit = limitOf(group);
  if (group.held + charge.cost > limit) return false;
  const share = priority === undefined ? 1 : (group.policy.spec.shares?.[priority] ?? 1);
  return share >= 1 || group.held < share * limit;
}

function answer(group: Group, id: string, isHeld: boolean, waitUs: number): Hold {
  const limit = limitOf(group);
  return { id, isHeld, remaining: Math.max(0, limit - group.held), limit, retryAfterUs: waitUs };
}

function retryAfterUs({ policy, deadlines }: Group, places: number, nowUs: number): number {
  if (places > policy.limit) return Number.POSITIVE_INFINITY;
  const earliest = deadlines.earliest;
  // Nobody holds, and still it does not fit: the limit that was found is below what is asked for.
  return earliest === undefined ? policy.windowUs : earliest.untilUs - nowUs;
}

/** The limit of a key has changed: who holds goes on, and what was found of the limit stays found. */
function adopt(group: Group, policy: Policy, nowUs: number): void {
  const found = group.adaptive?.exact;
  group.policy = policy;
  group.adaptive = policy.name === 'adaptive' ? new AdaptiveLimit(policy, nowUs, found) : undefined;
}
