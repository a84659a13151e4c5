/**
 * Which slots this member decides, and how they change hands.
 *
 * For each slot there is one token, and deciding takes three things: the token, a lease that runs (`lease.ts`), and to
 * be the owner in one's own view of the members. A member's view may be late, so that two members may both believe to
 * be the owner; the token is what only one of them has.
 *
 * Who becomes the owner of slots without having their tokens asks *all* other members of its view for them, and names
 * the epoch of that view. Whoever is asked stops deciding those slots, sends the states and then the token if it has
 * one, and will make no token of its own under an earlier epoch. When all have answered and nobody had the token, it
 * was lost with a member that is no longer in the view, whose lease is over: a new one is made. A member that does not
 * answer holds this up until it is declared dead. Members that come one right after the other make one ask twice, under
 * two epochs; "none" is no answer while what was asked for the first time is still being sent.
 *
 * Why there are never two: suppose X makes a token at epoch e. Everybody in X's view said it had none, so another one
 * could only be (1) with a member outside the view: it is dead by its lease, or came after e, and then asked X, or will;
 * (2) on its way. A token travels only to one whose question is open, and who has asked a question does not answer one
 * of its own epoch or a later one before its own is settled, so an X that hears "none" hears it from one that nothing
 * is on its way to, and that asks for nothing under an earlier epoch from then on; and from one that nothing is on its
 * way from, to X itself or to somebody else, for that is waited for as well. A question counts as settled when it is
 * answered or its member has left the view; what comes after that is refused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Estate, type Holding, PAGE_BYTES } from './estate.ts';
import type { OwnersLog } from './membership.ts';
import { type Post, textOf } from './post.ts';
import { NOBODY, type View } from './roster.ts';
import { rangesOf, SLOTS, type SlotTable, slotOf, slotsIn } from './slots.ts';

export interface TenureOptions {
  readonly me: string;
  readonly post: Post;
  readonly estate: Estate;
  readonly log: OwnersLog | undefined;
  readonly nowMs: () => number;
  /**
   * Slots whose states nobody handed over: what is known of them must be there when this resolves. It must not reject.
   * Of those in `stale` states lie here from a time when this member decided them before.
   */
  recall(orphans: readonly number[], stale: readonly number[], isFirst: boolean): Promise<void>;
  /** Slots came to be decided here. */
  onGain(): void;
}

/** A question for tokens that may still bring some. */
interface Question {
  readonly to: string;
  readonly nonce: string;
  readonly slots: ReadonlySet<number>;
  readonly settled: PromiseWithResolvers<void>;
  /** The one it went to is no member any more: whatever comes is refused. */
  isGivenUp: boolean;
  pages: number;
  /** Slots of which states came. */
  readonly brought: Set<number>;
}

/** Tokens that are being sent, until it is known whether they were taken. */
interface Gift {
  readonly slots: ReadonlySet<number>;
  readonly arrived: Promise<boolean>;
}

interface TakeMessage {
  kind: 'take';
  epoch: number;
  from: string;
  nonce: string;
  ranges: number[];
}
interface PageMessage {
  kind: 'page';
  nonce: string;
  number: number;
  holdings: Holding;
  /** With the last page: the slots whose tokens come with it. */
  ranges: number[];
}
type TakeAnswer = { kind: 'taken' } | { kind: 'moved'; epoch: number } | { kind: 'later' };

/** States take a while to write and read; until an answer comes the question is asked again. */
const ANSWER_MS = 400;
const RETRY_MS = 25;
/** Answers that are kept for a question that is asked again. */
const ANSWERS_MAX = 256;

export class Tenure {
  readonly #options: TenureOptions;
  /** By slot: 1 where this member has the token and is the owner. Whether its lease runs is another matter. */
  readonly ready = new Uint8Array(SLOTS);
  readonly #token = new Uint8Array(SLOTS);
  /** By slot: under earlier epochs than this no token is made here. */
  readonly #promised = new Float64Array(SLOTS);
  /** By slot: 1 where states may lie here that this member has no token for. */
  readonly #stale = new Uint8Array(SLOTS);
  readonly #questions = new Map<string, Question>();
  /** By nonce, those that were given and those that are being made. */
  readonly #answers = new Map<string, Promise<TakeAnswer>>();
  #view: View = NOBODY;
  #owned: readonly number[] = [];
  #round = 0;
  #nonces = 0;
  #hasStarted = false;
  readonly #gifts = new Set<Gift>();
  /** How often all was lost. */
  #losses = 0;

  constructor(options: TenureOptions) {
    this.#options = options;
  }

  /** Slots that are decided here. */
  get readyCount(): number {
    return this.ready.reduce((sum, one) => sum + one, 0);
  }

  /** Slots that this member should decide, ready or not. */
  get ownedCount(): number {
    return this.#owned.length;
  }

  /** Tokens held, also of slots that others are about to ask for, and those that nobody has confirmed yet. */
  get tokenCount(): number {
    let sum = this.#token.reduce((tokens, one) => tokens + one, 0);
    for (const { slots } of this.#gifts) sum += slots.size;
    return sum;
  }

  /** Nothing of any slot is here, on its way from here, or may still come. */
  get isEmpty(): boolean {
    return this.tokenCount === 0 && this.#questions.size === 0;
  }

  /** Goes by another view from now on. */
  adopt(view: View, table: SlotTable): void {
    const { me } = this.#options;
    this.#view = view;
    this.#round += 1;
    for (const question of this.#questions.values()) if (!view.members.includes(question.to)) this.#giveUp(question);
    const owned: number[] = [];
    const gains: number[] = [];
    const recalled = this.#recalledSlots();
    for (let slot = 0; slot < SLOTS; slot++) {
      if (table.owners[slot] !== me) {
        this.ready[slot] = 0;
        continue;
      }
      owned.push(slot);
      if (this.#token[slot] === 0) {
        // Who owns it under a later epoch was told that there is none here: none may come any more.
        if (this.#promised[slot]! <= view.epoch) gains.push(slot);
      } else if (!recalled.has(slot)) this.ready[slot] = 1;
    }
    this.#owned = owned;
    if (gains.length === 0) this.#options.onGain();
    else void this.#takeOver(gains, this.#round);
  }

  /** The others go on without this member: whatever it had is theirs now. */
  lose(): void {
    this.#round += 1;
    for (const question of this.#questions.values()) this.#giveUp(question);
    this.#losses += 1;
    for (let slot = 0; slot < SLOTS; slot++) if (this.#token[slot] === 1) this.#stale[slot] = 1;
    this.ready.fill(0);
    this.#token.fill(0);
    // Epochs may begin anew, with a new bucket.
    this.#promised.fill(0);
    this.#owned = [];
    this.#view = NOBODY;
  }

  /** Something about slots from another member. */
  receive(text: string): Promise<string> {
    const message = JSON.parse(text) as TakeMessage | PageMessage;
    const answer = message.kind === 'take' ? this.#asked(message) : this.#page(message);
    return answer.then((one) => JSON.stringify(one));
  }

  // ------------------------------------------------------------ taking over

  async #takeOver(gains: readonly number[], round: number): Promise<void> {
    const { me, log, nowMs } = this.#options;
    const view = this.#view;
    const startedMs = nowMs();
    const others = view.members.filter((id) => id !== me);
    await Promise.all(others.map((to) => this.#question(to, gains, round)));
    // What was given to one that has left comes back.
    while (this.#isOnItsWay(gains)) await this.#arrivals(gains);
    if (round !== this.#round) return;
    const orphans: number[] = [];
    for (const slot of gains) {
      if (this.#token[slot] === 1) continue;
      // Somebody owns it under a later epoch, which this member will hear of.
      if (this.#promised[slot]! > view.epoch) continue;
      this.#token[slot] = 1;
      orphans.push(slot);
    }
    await this.#recall(orphans);
    log?.info('slots taken over', {
      epoch: view.epoch,
      slots: gains.length,
      handedOver: gains.length - orphans.length,
      ms: Math.round(nowMs() - startedMs),
    });
  }

  /** Makes orphans ready once their states are there. Who asks for them meanwhile waits for that. */
  async #recall(orphans: readonly number[]): Promise<void> {
    const { me, recall, onGain } = this.#options;
    const losses = this.#losses;
    const nonce = `${me}.${++this.#nonces}`;
    const settled = Promise.withResolvers<void>();
    this.#questions.set(nonce, newQuestion(me, nonce, orphans, settled));
    const isFirst = !this.#hasStarted;
    this.#hasStarted = true;
    const stale = orphans.filter((slot) => this.#stale[slot] === 1);
    for (const slot of stale) this.#stale[slot] = 0;
    await recall(orphans, stale, isFirst);
    this.#questions.delete(nonce);
    if (this.#losses === losses) {
      const owned = new Set(this.#owned);
      for (const slot of orphans) if (owned.has(slot) && this.#token[slot] === 1) this.ready[slot] = 1;
    }
    settled.resolve();
    onGain();
  }

  /** Asks one member until it has answered, is no member any more, or the view is another one and nothing may come. */
  async #question(to: string, slots: readonly number[], round: number): Promise<void> {
    const { me } = this.#options;
    const nonce = `${me}.${++this.#nonces}`;
    const settled = Promise.withResolvers<void>();
    const question = newQuestion(to, nonce, slots, settled);
    this.#questions.set(nonce, question);
    const ranges = rangesOf(slots);
    const message: TakeMessage = { kind: 'take', epoch: this.#view.epoch, from: me, nonce, ranges };
    while (!question.isGivenUp) {
      const answer = await this.#tell<TakeAnswer>(to, message);
      if (question.isGivenUp || answer?.kind === 'taken') break;
      // It gave nothing, and gives nothing to a question that is not asked again.
      if (answer !== undefined && round !== this.#round) break;
      await sleep(RETRY_MS);
    }
    this.#giveUp(question);
    this.#questions.delete(nonce);
  }

  #giveUp(question: Question): void {
    question.isGivenUp = true;
    // States without their token: all that is known, until somebody knows better.
    for (const slot of question.brought) if (this.#token[slot] === 0) this.#stale[slot] = 1;
    question.settled.resolve();
  }

  /** Slots whose token is here, and whose states are still being looked for. */
  #recalledSlots(): ReadonlySet<number> {
    const { me } = this.#options;
    return new Set([...this.#questions.values()].flatMap(({ to, slots }) => (to === me ? [...slots] : [])));
  }

  #accept(slots: readonly number[]): void {
    this.#dropStale(new Set(slots));
    for (const slot of slots) this.#token[slot] = 1;
    const owned = new Set(this.#owned);
    for (const slot of slots) if (owned.has(slot)) this.ready[slot] = 1;
    if (slots.length > 0) this.#options.onGain();
  }

  async #page({ nonce, number, holdings, ranges }: PageMessage): Promise<{ isTaken: boolean }> {
    const question = this.#questions.get(nonce);
    if (question === undefined || question.isGivenUp) return { isTaken: false };
    // Sent again, for the answer was late.
    if (number < question.pages) return { isTaken: true };
    if (number > question.pages) return { isTaken: false };
    const slots = slotsOf(holdings);
    this.#dropStale(slots);
    this.#options.estate.take(holdings);
    for (const slot of slots) question.brought.add(slot);
    question.pages += 1;
    if (ranges.length > 0) this.#accept(slotsIn(ranges));
    return { isTaken: true };
  }

  /** The one who decided slots until now says what is so: what lies here from earlier is not. */
  #dropStale(slots: ReadonlySet<number>): void {
    const stale = [...slots].filter((slot) => this.#stale[slot] === 1);
    if (stale.length === 0) return;
    for (const slot of stale) this.#stale[slot] = 0;
    this.#options.estate.drop(new Set(stale));
  }

  // ------------------------------------------------------------ handing over

  #asked(message: TakeMessage): Promise<TakeAnswer> {
    const known = this.#answers.get(message.nonce);
    if (known !== undefined) return known;
    if (message.epoch < this.#view.epoch) return Promise.resolve({ kind: 'moved', epoch: this.#view.epoch });
    const answer = this.#handOver(message);
    this.#answers.set(message.nonce, answer);
    if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value!);
    void answer.then(({ kind }) => {
      if (kind !== 'taken') this.#answers.delete(message.nonce);
    });
    return answer;
  }

  async #handOver({ epoch, from, nonce, ranges }: TakeMessage): Promise<TakeAnswer> {
    const slots = slotsIn(ranges);
    for (const slot of slots) {
      this.#promised[slot] = Math.max(this.#promised[slot]!, epoch);
      this.ready[slot] = 0;
    }
    await this.#settled(slots);
    // No turn between the last look and what is given: another question for the same slots may be at this very point.
    while (this.#isOnItsWay(slots)) await this.#arrivals(slots);
    // By a view that came meanwhile they are somebody else's, or this member's own.
    if (epoch < this.#view.epoch) return { kind: 'moved', epoch: this.#view.epoch };
    const given = slots.filter((slot) => this.#token[slot] === 1);
    if (given.length === 0 || (await this.#give(from, nonce, given))) return { kind: 'taken' };
    return { kind: 'later' };
  }

  /** @returns False when this member keeps the tokens after all. */
  async #give(to: string, nonce: string, slots: readonly number[]): Promise<boolean> {
    const losses = this.#losses;
    // From here on they are on their way: a view that comes meanwhile must not find them here. Those that came while
    // this was waited for may be decided here.
    for (const slot of slots) {
      this.#token[slot] = 0;
      this.ready[slot] = 0;
    }
    const gift: Gift = { slots: new Set(slots), arrived: this.#send(to, nonce, slots) };
    this.#gifts.add(gift);
    const isTaken = await gift.arrived;
    this.#gifts.delete(gift);
    if (this.#losses !== losses) return false;
    if (isTaken) this.#options.estate.drop(new Set(slots));
    else this.#accept(slots);
    return isTaken;
  }

  /** Waits until nothing about these slots is on its way to this member. */
  async #settled(slots: readonly number[]): Promise<void> {
    const open = [...this.#questions.values()].filter((question) => slots.some((slot) => question.slots.has(slot)));
    await Promise.all(open.map(({ settled }) => settled.promise));
  }

  /** Tokens of these slots that are being sent by this member. */
  #giftsOf(slots: readonly number[]): Gift[] {
    return [...this.#gifts].filter((gift) => slots.some((slot) => gift.slots.has(slot)));
  }

  #isOnItsWay(slots: readonly number[]): boolean {
    return this.#giftsOf(slots).length > 0;
  }

  async #arrivals(slots: readonly number[]): Promise<void> {
    await Promise.all(this.#giftsOf(slots).map(({ arrived }) => arrived));
  }

  /** Sends the states of slots, page by page, and the tokens with the last one. @returns Whether they were taken. */
  async #send(to: string, nonce: string, slots: readonly number[]): Promise<boolean> {
    let number = 0;
    for (const holdings of this.#options.estate.pages(new Set(slots), PAGE_BYTES)) {
      if (!(await this.#sendPage(to, { kind: 'page', nonce, number, holdings, ranges: [] }))) return false;
      number += 1;
    }
    const holdings = { states: [], holds: [], claims: [] };
    return this.#sendPage(to, { kind: 'page', nonce, number, holdings, ranges: rangesOf(slots) });
  }

  /**
   * Sends a page until it is taken or refused. While neither is known it may have been taken, so it is given up only
   * when the other one is no member any more: then its tokens are worth nothing.
   */
  async #sendPage(to: string, page: PageMessage): Promise<boolean> {
    while (this.#view.members.includes(to)) {
      const answer = await this.#tell<{ isTaken: boolean }>(to, page);
      if (answer !== undefined) return answer.isTaken;
      await sleep(RETRY_MS);
    }
    return false;
  }

  async #tell<A>(to: string, message: TakeMessage | PageMessage): Promise<A | undefined> {
    const delivery = await this.#options.post.ask({ id: to, box: 'slots' }, JSON.stringify(message), ANSWER_MS);
    return typeof delivery === 'string' ? undefined : (JSON.parse(textOf(delivery)) as A);
  }
}

function newQuestion(
  to: string,
  nonce: string,
  slots: readonly number[],
  settled: PromiseWithResolvers<void>,
): Question {
  return { to, nonce, slots: new Set(slots), settled, isGivenUp: false, pages: 0, brought: new Set() };
}

function slotsOf({ states, holds, claims }: Holding): ReadonlySet<number> {
  const slots = new Set(claims.map(([, slot]) => slot));
  for (const { key } of [...states, ...holds]) slots.add(slotOf(key));
  return slots;
}
