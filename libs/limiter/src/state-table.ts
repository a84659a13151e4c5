/**
 * The states of all keys under one algorithm: numbers in chunks of Float64Array, found by slot.
 *
 * A state that is equal to none is freed by a hashed wheel (Varghese and Lauck 1987) of lists through the slots: one
 * spoke a quarter of a second. A slot is put where its state will be fresh if nobody takes more, and left there however often it is
 * taken from: when its spoke comes it is freed or put where it belongs now. So a decision on a known key never
 * touches the wheel, and there is no timer per key.
 *
 * Some keys that were found lately are remembered in a Map of V8 with all that a decision needs: it knows the hash of a
 * string that it has seen before, so a hot key is decided in less than half of the time.
 */
import type { Algorithm, Cells } from './algorithm.ts';
import { CHUNK_BITS, CHUNK_MASK, KeyTable, NEXT, POLICY, PREVIOUS, wordsAt } from './key-table.ts';
import type { Policy } from './policy.ts';
import { isSamePolicy, PolicyTable } from './policy-table.ts';

/** What a table needs to know of an algorithm to keep its states. */
export type Kept = Pick<Algorithm, 'cells' | 'freshAtUs'>;

/** Where the state of a key lies, and of which policy it is. */
export interface HotState {
  readonly slot: number;
  readonly cells: Cells;
  readonly at: number;
  readonly policy: Policy;
}

/** Keys that are remembered at once, and the longest of them: less than a megabyte. */
const HOT_MAX = 4_096;
const HOT_LENGTH_MAX = 128;
/** One in so many that were not remembered is: where keys hardly ever come back, remembering costs little. */
const HOT_EVERY = 16;

/** 17 minutes around; states of longer windows come by in each round and are put in again. */
const SPOKES = 4_096;
const SPOKE_US = 250_000;
const NONE = -1;

export class StateTable<A extends Kept = Algorithm> {
  readonly algorithm: A;
  readonly #cells: number;
  readonly #keys: KeyTable;
  readonly #hot = new Map<string, HotState>();
  readonly #hotKeys = new Map<number, string>();
  #found = 0;
  readonly #policies = new PolicyTable();
  readonly #chunks: Float64Array[] = [];
  readonly #spokes = new Int32Array(SPOKES).fill(NONE);
  /** The spoke, counted from the beginning of time, up to which all were looked through. */
  #turned = 0;

  /** @param seed - As `KeyTable`. */
  constructor(algorithm: A, seed: number) {
    this.#keys = new KeyTable(seed);
    this.algorithm = algorithm;
    this.#cells = algorithm.cells;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** The state of a key, if it is one of those that were found again and again lately. Undefined says nothing. */
  hot(key: string): HotState | undefined {
    return this.#hot.get(key);
  }

  /** @returns The slot of a key, or −1. */
  find(key: string): number {
    const hot = this.#hot.get(key);
    if (hot !== undefined) return hot.slot;
    const slot = this.#keys.find(key);
    if (slot !== NONE && ++this.#found % HOT_EVERY === 0) this.#remember(key, slot);
    return slot;
  }

  /** The numbers of a slot's chunk; its own begin at `at(slot)`. */
  cells(slot: number): Cells {
    return this.#chunks[slot >> CHUNK_BITS]!;
  }

  at(slot: number): number {
    return (slot & CHUNK_MASK) * this.#cells;
  }

  /** The policy that the state of a slot is of. */
  policy(slot: number): Policy {
    return this.#policies.at(this.#keys.words(slot)[wordsAt(slot) + POLICY]!);
  }

  keyOf(slot: number): string {
    return this.#keys.keyOf(slot);
  }

  /** A fresh state for a key that has none. It must be taken from, and then `settle`d. */
  add(key: string, policy: Policy): number {
    const slot = this.#keys.add(key);
    this.#keys.words(slot)[wordsAt(slot) + POLICY] = this.#policies.enter(policy);
    const chunk = slot >> CHUNK_BITS;
    if (chunk === this.#chunks.length) this.#chunks.push(new Float64Array(this.#cells << CHUNK_BITS));
    return slot;
  }

  /** Puts a slot that was added onto the wheel. */
  settle(slot: number, nowUs: number): void {
    // While nobody is on it, the wheel has no past to catch up with.
    if (this.#keys.size === 1) this.#turned = Math.floor(nowUs / SPOKE_US);
    this.#enlist(slot, this.#freshAtUs(slot));
  }

  /** Says that a slot's state is now of this policy. @returns False when its numbers mean something else under it. */
  adopt(slot: number, policy: Policy): boolean {
    const words = this.#keys.words(slot);
    const at = wordsAt(slot) + POLICY;
    if (!isSamePolicy(this.#policies.at(words[at]!), policy)) return false;
    this.#policies.renew(words[at]!, policy);
    this.#cool(slot);
    return true;
  }

  /** Puts other numbers in the place of a state. */
  replace(slot: number, policy: Policy, state: ArrayLike<number>): void {
    this.#cool(slot);
    const words = this.#keys.words(slot);
    const number = this.#policies.enter(policy);
    this.#policies.leave(words[wordsAt(slot) + POLICY]!);
    words[wordsAt(slot) + POLICY] = number;
    const cells = this.cells(slot);
    const at = this.at(slot);
    for (let cell = 0; cell < this.#cells; cell++) cells[at + cell] = state[cell]!;
  }

  /** Forgets a state that was settled. */
  free(slot: number): void {
    this.#delist(slot);
    this.#cool(slot);
    this.#policies.leave(this.#keys.words(slot)[wordsAt(slot) + POLICY]!);
    this.cells(slot).fill(0, this.at(slot), this.at(slot) + this.#cells);
    this.#keys.remove(slot);
  }

  /** Frees a state if it is equal to none. */
  freeIfFresh(slot: number, nowUs: number): void {
    if (this.#freshAtUs(slot) <= nowUs) this.free(slot);
  }

  /**
   * Looks through the spokes whose time has come, at `budget` states at the most.
   *
   * @returns How many it looked at; as many as the budget when there is more to do.
   */
  sweep(nowUs: number, budget: number): number {
    const present = Math.floor(nowUs / SPOKE_US);
    // Once around is all there is.
    this.#turned = Math.max(this.#turned, present - SPOKES);
    let looked = 0;
    while (this.#turned < present) {
      const spoke = (this.#turned + 1) % SPOKES;
      for (let slot = this.#spokes[spoke]!; slot !== NONE; slot = this.#spokes[spoke]!) {
        if (looked++ === budget) return budget;
        this.#renew(slot, nowUs);
      }
      this.#turned++;
    }
    return looked;
  }

  /** Frees all that is fresh, whatever its spoke. Cost: a look at every state. */
  sweepAll(nowUs: number): void {
    for (const slot of this.occupied()) this.freeIfFresh(slot, nowUs);
  }

  /** Slots that are in use. */
  *occupied(): Generator<number> {
    for (let slot = 0; slot < this.#keys.slots; slot++) {
      if (this.#keys.words(slot)[wordsAt(slot) + POLICY] !== NONE) yield slot;
    }
  }

  #remember(key: string, slot: number): void {
    if (key.length > HOT_LENGTH_MAX) return;
    if (this.#hot.size === HOT_MAX) {
      this.#hot.clear();
      this.#hotKeys.clear();
    }
    this.#hot.set(key, { slot, cells: this.cells(slot), at: this.at(slot), policy: this.policy(slot) });
    this.#hotKeys.set(slot, key);
  }

  /** What is remembered of a slot is not true any more. */
  #cool(slot: number): void {
    const key = this.#hotKeys.get(slot);
    if (key === undefined) return;
    this.#hot.delete(key);
    this.#hotKeys.delete(slot);
  }

  #freshAtUs(slot: number): number {
    return this.algorithm.freshAtUs(this.cells(slot), this.at(slot), this.policy(slot));
  }

  #renew(slot: number, nowUs: number): void {
    const freshAtUs = this.#freshAtUs(slot);
    if (freshAtUs <= nowUs) {
      this.free(slot);
      return;
    }
    this.#delist(slot);
    this.#enlist(slot, freshAtUs);
  }

  /** First on the spoke after the one in whose time it becomes fresh, or on the last one of this round. */
  #enlist(slot: number, freshAtUs: number): void {
    const turn = Math.min(Math.max(Math.floor(freshAtUs / SPOKE_US), this.#turned) + 1, this.#turned + SPOKES);
    const spoke = turn % SPOKES;
    const first = this.#spokes[spoke]!;
    const words = this.#keys.words(slot);
    words[wordsAt(slot) + NEXT] = first;
    words[wordsAt(slot) + PREVIOUS] = ~spoke;
    if (first !== NONE) this.#keys.words(first)[wordsAt(first) + PREVIOUS] = slot;
    this.#spokes[spoke] = slot;
  }

  /** `PREVIOUS` of the first of a spoke is the spoke, complemented. */
  #delist(slot: number): void {
    const words = this.#keys.words(slot);
    const next = words[wordsAt(slot) + NEXT]!;
    const previous = words[wordsAt(slot) + PREVIOUS]!;
    if (previous < 0) this.#spokes[~previous] = next;
    else this.#keys.words(previous)[wordsAt(previous) + NEXT] = next;
    if (next !== NONE) this.#keys.words(next)[wordsAt(next) + PREVIOUS] = previous;
  }
}
