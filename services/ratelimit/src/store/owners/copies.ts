/**
 * What changed goes to the member that would own it next, some ten times a second, so that a crash costs what was
 * decided since and not all. Copies are kept apart from what is decided here; they are read once, when their slots
 * have lost their owner. A copy replaces the one before of the same key. A successor that is new to a slot gets all of
 * it first.
 */
import { type HoldRecord, type Policy, policyOf, type StateRecord } from '@plinth/limiter';
import type { Estate, Holding } from './estate.ts';
import { PAGE_BYTES } from './estate.ts';
import { type Post, textOf } from './post.ts';
import type { View } from './roster.ts';
import { rangesOf, SLOTS, type SlotTable, slotOf, slotsIn } from './slots.ts';

export interface CopiesOptions {
  readonly me: string;
  readonly post: Post;
  readonly estate: Estate;
  readonly everyMs: number;
  readonly nowUs: () => number;
  /** Is this slot decided here, now? */
  isMine(slot: number): boolean;
}

export interface CopyMessage {
  readonly kind: 'copy';
  readonly epoch: number;
  /** Slots of which only what follows is true. */
  readonly fresh: readonly number[];
  /** Keys of which only what follows is true. */
  readonly keys: readonly string[];
  readonly states: readonly StateRecord[];
  readonly holds: readonly HoldRecord[];
}

interface Copy {
  states: StateRecord[];
  holds: HoldRecord[];
  atUs: number;
  untilUs: number;
}

/** Keys in a message: a quarter of a megabyte. What changes faster waits for the next: 20,000 keys a second. */
const KEYS_MAX = 2_000;
const ANSWER_MS = 500;
/** Of what is looked through each second for copies that have expired: all in a minute. */
const SWEEP_SLOTS = 18;
/** Denials, and holds, are kept no longer than this without news of them. */
const LIFE_US_MAX = 86_400_000_000;

export class Copies {
  readonly #options: CopiesOptions;
  /** Keys that changed since they were last sent. */
  #changed = new Set<string>();
  /** By slot: who has a full copy of it from this member. */
  readonly #fed = new Array<string | undefined>(SLOTS);
  /** By slot, by key. */
  readonly #kept = new Map<number, Map<string, Copy>>();
  readonly #policies = new Map<string, Policy>();
  #table: SlotTable | undefined;
  #epoch = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isFeeding = false;
  #swept = 0;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /** Copies that are kept for others. */
  get size(): number {
    let size = 0;
    for (const keys of this.#kept.values()) size += keys.size;
    return size;
  }

  /** Keys whose news are still to be sent. */
  get lag(): number {
    return this.#changed.size;
  }

  start(): void {
    const { everyMs } = this.#options;
    const turn = async () => {
      await this.#sendChanges();
      if (!this.#isStopped) this.#timer = setTimeout(turn, everyMs).unref();
    };
    this.#timer = setTimeout(turn, everyMs).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** The state of a key has changed. */
  note(key: string): void {
    this.#changed.add(key);
  }

  adopt(view: View, table: SlotTable): void {
    this.#epoch = view.epoch;
    this.#table = table;
    void this.feed();
  }

  /** Sends whole slots to successors that have none of them. */
  async feed(): Promise<void> {
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    try {
      for (let due = this.#due(); due.size > 0 && !this.#isStopped; due = this.#due()) {
        for (const [to, slots] of due) await this.#feedOne(to, slots);
      }
    } finally {
      this.#isFeeding = false;
    }
  }

  // ------------------------------------------------------------ sending

  #due(): Map<string, Set<number>> {
    const due = new Map<string, Set<number>>();
    for (let slot = 0; slot < SLOTS; slot++) {
      const to = this.#table?.successors[slot];
      if (!this.#options.isMine(slot)) this.#fed[slot] = undefined;
      else if (to !== undefined && this.#fed[slot] !== to) {
        if (!due.has(to)) due.set(to, new Set());
        due.get(to)!.add(slot);
      }
    }
    return due;
  }

  async #feedOne(to: string, slots: ReadonlySet<number>): Promise<void> {
    // What changes from now on is sent as a change, after this: nothing that a page missed is lost.
    for (const slot of slots) this.#fed[slot] = to;
    let fresh = rangesOf(slots);
    const pages: Iterable<Holding> = this.#options.estate.pages(slots, PAGE_BYTES);
    const send = async ({ states, holds }: Pick<Holding, 'states' | 'holds'>) => {
      const isTaken = await this.#send(to, {
        kind: 'copy',
        epoch: this.#epoch,
        fresh,
        keys: keysOf(states, holds),
        states,
        holds,
      });
      fresh = [];
      return isTaken;
    };
    let isTaken = true;
    for (const page of pages) isTaken &&= await send(page);
    if (fresh.length > 0) isTaken = await send({ states: [], holds: [] });
    if (isTaken) return;
    for (const slot of slots) if (this.#fed[slot] === to) this.#fed[slot] = undefined;
    await new Promise((resolve) => setTimeout(resolve, this.#options.everyMs));
  }

  async #sendChanges(): Promise<void> {
    if (this.#changed.size === 0) return;
    const batches = this.#nextChanges();
    await Promise.all(
      [...batches].map(async ([to, keys]) => {
        const { ledger, holds } = this.#options.estate;
        const states = [...ledger.exportKeys(keys)];
        const held = holds.size === 0 ? [] : [...holds.export((key) => keys.has(key))];
        const message: CopyMessage = {
          kind: 'copy',
          epoch: this.#epoch,
          fresh: [],
          keys: [...keys],
          states,
          holds: held,
        };
        if (!(await this.#send(to, message))) for (const key of keys) this.#changed.add(key);
      }),
    );
  }

  /** Changed keys by who is to know, as many as go into one message each. */
  #nextChanges(): Map<string, Set<string>> {
    const batches = new Map<string, Set<string>>();
    let count = 0;
    for (const key of this.#changed) {
      this.#changed.delete(key);
      const slot = slotOf(key);
      const to = this.#options.isMine(slot) ? this.#fed[slot] : undefined;
      // Nobody to tell, or it is told with the whole slot.
      if (to === undefined) continue;
      if (!batches.has(to)) batches.set(to, new Set());
      batches.get(to)!.add(key);
      if (++count === KEYS_MAX) break;
    }
    return batches;
  }

  async #send(to: string, message: CopyMessage): Promise<boolean> {
    const delivery = await this.#options.post.ask({ id: to, box: 'slots' }, JSON.stringify(message), ANSWER_MS);
    return typeof delivery !== 'string' && textOf(delivery) === TAKEN;
  }

  // ------------------------------------------------------------ keeping

  /** Another member says what it knows. @returns What to answer. */
  receive({ epoch, fresh, keys, states, holds }: CopyMessage): string {
    // From an owner that does not know yet that it is none, or is one before this member knows: it says so again.
    if (epoch < this.#epoch) return NOT_TAKEN;
    for (const slot of slotsIn(fresh)) this.#kept.set(slot, new Map());
    for (const key of keys) this.#kept.get(slotOf(key))?.delete(key);
    for (const state of states) this.#copyOf(state.key).states.push(state);
    for (const hold of holds) this.#copyOf(hold.key).holds.push(hold);
    for (const key of keys) this.#date(key);
    return TAKEN;
  }

  /** Was this slot copied here by its owner? */
  has(slot: number): boolean {
    return this.#kept.has(slot);
  }

  /** Goes on with the copies of slots whose owner is gone. */
  inherit(slots: Iterable<number>): void {
    const { estate, nowUs } = this.#options;
    for (const slot of slots) {
      const copies = this.#kept.get(slot);
      if (copies === undefined) continue;
      this.#kept.delete(slot);
      for (const { states, holds, atUs } of copies.values()) {
        const passedUs = nowUs() - atUs;
        estate.take({
          // Time went on while they lay here.
          states: states.map((state) => ({ ...state, nowUs: state.nowUs + passedUs })),
          holds: holds.map((one) => agedBy(one, passedUs / 1_000)),
          claims: [],
        });
      }
    }
  }

  /** Forgets the copies of slots: this member decides them now. */
  forget(slots: Iterable<number>): void {
    for (const slot of slots) this.#kept.delete(slot);
  }

  /** Frees copies of what has expired. About once a second. */
  sweep(): void {
    const nowUs = this.#options.nowUs();
    for (let count = 0; count < SWEEP_SLOTS; count++) {
      this.#swept = (this.#swept + 1) % SLOTS;
      const copies = this.#kept.get(this.#swept);
      for (const [key, { untilUs }] of copies ?? []) if (untilUs <= nowUs) copies!.delete(key);
    }
  }

  #copyOf(key: string): Copy {
    const slot = slotOf(key);
    let copies = this.#kept.get(slot);
    if (copies === undefined) {
      copies = new Map();
      this.#kept.set(slot, copies);
    }
    let copy = copies.get(key);
    if (copy === undefined) {
      copy = { states: [], holds: [], atUs: this.#options.nowUs(), untilUs: 0 };
      copies.set(key, copy);
    }
    return copy;
  }

  /** Notes when a copy will be worth nothing: when what it is of is as good as new. */
  #date(key: string): void {
    const copy = this.#kept.get(slotOf(key))?.get(key);
    if (copy === undefined) return;
    let lifeUs = 0;
    for (const state of copy.states) lifeUs = Math.max(lifeUs, this.#lifeUs(state));
    for (const { hold } of copy.holds) lifeUs = Math.max(lifeUs, (hold?.leftMs ?? 600_000) * 1_000);
    copy.untilUs = copy.atUs + lifeUs;
  }

  #lifeUs({ spec, cells, nowUs }: StateRecord): number {
    if (spec === null) return LIFE_US_MAX;
    const text = JSON.stringify(spec);
    let policy = this.#policies.get(text);
    if (policy === undefined) {
      if (this.#policies.size >= KEYS_MAX) this.#policies.clear();
      policy = policyOf(spec);
      this.#policies.set(text, policy);
    }
    return Math.max(0, policy.algorithm!.freshAtUs(Float64Array.from(cells), 0, policy) - nowUs);
  }
}

const TAKEN = '1';
const NOT_TAKEN = '0';

function keysOf(states: readonly StateRecord[], holds: readonly HoldRecord[]): string[] {
  return [...new Set([...states.map(({ key }) => key), ...holds.map(({ key }) => key)])];
}

function agedBy(record: HoldRecord, ms: number): HoldRecord {
  return record.hold === undefined
    ? record
    : { ...record, hold: { ...record.hold, leftMs: Math.max(0, record.hold.leftMs - ms) } };
}
