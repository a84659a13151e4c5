/**
 * Finds the owner of a wish and brings back what it says. What has moved is asked again, for `moved` says that nothing
 * happened; nothing else is.
 */
import type { Charge, Decision } from '@plinth/limiter';
import { type Heard, Lane, UNHEARD } from './lane.ts';
import type { Post } from './post.ts';
import { type SlotTable, slotOf } from './slots.ts';
import type { PolicyTexts } from './wire.ts';
import { FULL, MOVED, type Reply, UNKNOWN, type Wish, type WishOf } from './wish.ts';

/** Why there is no result. `unheard`, `full`: nothing happened. */
export type Failure = typeof UNHEARD | typeof UNKNOWN | typeof FULL;
export type Outcome = Exclude<Heard, typeof MOVED>;

export interface RoutesOptions {
  readonly me: string;
  readonly post: Post;
  readonly texts: PolicyTexts;
  readonly callMs: number;
  /** How long a call waits for keys that change hands. */
  readonly moveMs: number;
  readonly nowMs: () => number;
  readonly epoch: () => number;
  /** Can messages be sent? */
  isConnected(): boolean;
  /** Does what is wished if all its keys are decided here; `MOVED` when they are not. */
  here(wish: Wish): Reply;
}

/** While slots change hands it is looked again so often. */
const LOOK_MS = 5;

export const isFailure = (heard: Heard): heard is Failure => heard === UNHEARD || heard === UNKNOWN || heard === FULL;

export class Routes {
  readonly #options: RoutesOptions;
  readonly #lanes = new Map<string, Lane>();
  #table: SlotTable | undefined;
  #changed = Promise.withResolvers<void>();
  /** Calls that met a member that does not own their keys, or not yet. */
  movedCount = 0;
  /** Messages sent, by how many wishes they carried: 1, up to 4, 16, 64, 256. */
  readonly batches = [0, 0, 0, 0, 0];
  wishCount = 0;

  constructor(options: RoutesOptions) {
    this.#options = options;
  }

  adopt(members: readonly string[], table: SlotTable): void {
    this.#table = table;
    for (const id of this.#lanes.keys()) if (!members.includes(id)) this.#lanes.delete(id);
    this.stir();
  }

  /** Who owns what has changed: those who wait look again. */
  stir(): void {
    const changed = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    changed.resolve();
  }

  /** The owner of all these keys; undefined when there are several, or nobody is known. */
  ownerOf(charges: readonly Charge[]): string | undefined {
    const owners = this.#table?.owners;
    if (owners === undefined || charges.length === 0) return undefined;
    const owner = owners[slotOf(charges[0]!.key)];
    for (let at = 1; at < charges.length; at++) if (owners[slotOf(charges[at]!.key)] !== owner) return undefined;
    return owner;
  }

  /** A wish whose keys lie with one owner: of one key, that is. */
  async askOne(wish: Wish, deadlineMs = this.#deadlineMs()): Promise<Outcome> {
    for (;;) {
      const heard = await this.#once(wish);
      if (heard !== MOVED) return heard;
      if (!(await this.#lookAgain(deadlineMs))) return UNHEARD;
    }
  }

  /** A wish that goes to each key by itself. Resolves when all have heard, with the first failure if there is one. */
  async askEach(wish: WishOf<'give' | 'reset' | 'block'>, deadlineMs = this.#deadlineMs()): Promise<Outcome> {
    const heard = await Promise.all(
      this.#parts(wish.charges).map(async ({ charges }) => {
        const part = { ...wish, charges };
        const reply = await this.#once(part);
        if (reply !== MOVED) return reply;
        return (await this.#lookAgain(deadlineMs)) ? this.askEach(part, deadlineMs) : UNHEARD;
      }),
    );
    return heard.find(isFailure);
  }

  /** Decides, wherever the keys lie: all of it or nothing. */
  async decide(wish: WishOf<'decide'>, deadlineMs = this.#deadlineMs()): Promise<Decision | Failure> {
    for (;;) {
      const parts = this.#parts(wish.charges);
      const heard = parts.length === 1 ? await this.#once(wish) : await this.#decideApart(wish, parts);
      if (heard !== MOVED) return heard as Decision | Failure;
      if (!(await this.#lookAgain(deadlineMs))) return UNHEARD;
    }
  }

  // ------------------------------------------------------------ several owners

  async #decideApart(wish: WishOf<'decide'>, parts: readonly Part[]): Promise<Decision | Failure | typeof MOVED> {
    const heard = (await Promise.all(parts.map(({ charges }) => this.#once({ ...wish, charges })))) as (
      | Decision
      | Failure
      | typeof MOVED
    )[];
    const failure = heard.find((one) => typeof one === 'symbol');
    const decisions = heard as Decision[];
    const isAllowed = failure === undefined && decisions.every((decision) => decision.isAllowed);
    if (!isAllowed && (wish.mode === 'take' || failure !== undefined)) await this.#takeBack(wish, parts, heard);
    if (failure !== undefined) return failure as Failure | typeof MOVED;
    return joined(parts, decisions, wish.charges.length);
  }

  /** A request that is denied takes nothing anywhere: gives back what was taken, and says what is there then. */
  async #takeBack(wish: WishOf<'decide'>, parts: readonly Part[], heard: (Decision | symbol)[]): Promise<void> {
    if (wish.mode === 'look') return;
    await Promise.all(
      parts.map(async ({ charges }, at) => {
        const decision = heard[at]!;
        if (typeof decision === 'symbol' || (!decision.isAllowed && wish.mode === 'take')) return;
        const taken = charges.filter((_, number) => wish.mode === 'debit' || decision.outcomes[number]!.isAllowed);
        const [, seen] = await Promise.all([
          this.askEach({ kind: 'give', charges: taken }),
          this.decide({ kind: 'decide', charges, mode: 'look' }),
        ]);
        if (typeof seen !== 'symbol') heard[at] = seen;
      }),
    );
  }

  #parts(charges: readonly Charge[]): Part[] {
    const parts = new Map<string | undefined, { charges: Charge[]; places: number[] }>();
    for (const [place, charge] of charges.entries()) {
      const owner = this.#table?.owners[slotOf(charge.key)];
      let part = parts.get(owner);
      if (part === undefined) {
        part = { charges: [], places: [] };
        parts.set(owner, part);
      }
      part.charges.push(charge);
      part.places.push(place);
    }
    return [...parts.values()];
  }

  // ------------------------------------------------------------ one owner

  /** Asks the owner once. What is asked one after the other goes out in that order. */
  #once(wish: Wish): Heard | Promise<Heard> {
    const owner = this.ownerOf(wish.charges);
    if (owner === undefined) return MOVED;
    if (owner === this.#options.me) return this.#options.here(wish);
    if (!this.#options.isConnected()) return UNHEARD;
    return this.#lane(owner).ask(wish);
  }

  #lane(to: string): Lane {
    let lane = this.#lanes.get(to);
    if (lane === undefined) {
      lane = new Lane({ ...this.#options, to, sent: (wishes) => this.#count(wishes) });
      this.#lanes.set(to, lane);
    }
    return lane;
  }

  #count(wishes: number): void {
    this.wishCount += wishes;
    this.batches[Math.ceil(Math.log2(wishes) / 2)]! += 1;
  }

  #deadlineMs(): number {
    return this.#options.nowMs() + this.#options.moveMs;
  }

  /** Waits until something may have changed. @returns False when it is too late. */
  async #lookAgain(deadlineMs: number): Promise<boolean> {
    this.movedCount += 1;
    if (this.#options.nowMs() >= deadlineMs) return false;
    let timer: NodeJS.Timeout | undefined;
    const pause = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LOOK_MS);
    });
    await Promise.race([pause, this.#changed.promise]);
    clearTimeout(timer);
    return true;
  }
}

interface Part {
  readonly charges: readonly Charge[];
  /** Where they stand in the request. */
  readonly places: readonly number[];
}

function joined(parts: readonly Part[], decisions: readonly Decision[], count: number): Decision {
  const outcomes = new Array(count);
  for (const [at, { places }] of parts.entries()) {
    for (const [number, place] of places.entries()) outcomes[place] = decisions[at]!.outcomes[number];
  }
  return { isAllowed: decisions.every(({ isAllowed }) => isAllowed), outcomes };
}
