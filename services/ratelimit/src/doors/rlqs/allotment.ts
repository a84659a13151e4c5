/**
 * One rate, shared among those who need it: each gets what it demands as far as all together may, and what is left is
 * given to all alike. After Google's Doorman (proportional and fair share); nothing here reads a clock.
 *
 * The promise: what the members hold together is never more than the rate. A member whose share has shrunk is taken to
 * hold the old one until it reports again, for only then is it known to have heard; a member that is gone without a
 * word holds its share until that would have expired. Who waits for a share gets it when it is free.
 */

/** What a member is given beyond what it asked for, so that it can ask for more. */
const HEADROOM = 1.25;
/** Of the way to the newest demand, what one report goes. */
const SMOOTHING = 0.5;
/** Changes of a share that are smaller are not worth a message. */
const WORTHWHILE = 0.1;
/** Rounding of sums of doubles never makes them more than the rate. */
const ROUNDING = 1e-12;

/** Rates in units a second. */
export class Member {
  /** What it asks for, allowed or not; undefined until it has told. */
  demand: number | undefined;
  /** What it was given last. */
  share = 0;
  /** What it may be using: the share, or a larger one before that. */
  held = 0;
  /** When what it holds ends by itself. */
  expiresMs = 0;
}

export class Allotment {
  /** Units a second that all members have together. */
  rate: number;
  readonly #members = new Set<Member>();
  /** Gone, and maybe still using what they were given. */
  readonly #gone = new Set<Member>();

  constructor(rate: number) {
    this.rate = rate;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0 && this.#gone.size === 0;
  }

  get members(): number {
    return this.#members.size;
  }

  /** What is given away, and not known to be free again. */
  get held(): number {
    let held = 0;
    for (const member of this.#members) held += member.held;
    for (const member of this.#gone) held += member.held;
    return held;
  }

  join(): Member {
    const member = new Member();
    this.#members.add(member);
    return member;
  }

  /** A member tells what it was asked for; it has heard what it was told before. */
  report(member: Member, units: number, elapsedMs: number): void {
    member.held = member.share;
    if (elapsedMs <= 0) return;
    const demand = (units / elapsedMs) * 1_000;
    member.demand = member.demand === undefined ? demand : member.demand + (demand - member.demand) * SMOOTHING;
  }

  /** A member goes. Its share is free at once when it said so itself, else when it expires. */
  leave(member: Member, isGoodbye: boolean): void {
    this.#members.delete(member);
    if (!isGoodbye && member.held > 0) this.#gone.add(member);
  }

  /** What was not renewed is free. */
  expire(nowMs: number): void {
    for (const member of this.#gone) if (member.expiresMs <= nowMs) this.#gone.delete(member);
    for (const member of this.#members) {
      if (member.held > 0 && member.expiresMs <= nowMs) {
        member.share = 0;
        member.held = 0;
      }
    }
  }

  /** Gives shares anew. @returns The members whose share has changed: tell them. */
  divide(): Member[] {
    const targets = this.#targets();
    const growing = [...targets].filter(([member, target]) => target > member.share * (1 + WORTHWHILE));
    const need = growing.reduce((sum, [member, target]) => sum + target - member.share, 0);
    const changed = new Set<Member>();
    if (need > this.#free() + this.#coming()) for (const member of this.#shrink(targets)) changed.add(member);
    const part = need === 0 ? 0 : Math.min(1, Math.max(0, this.#free()) / need);
    for (const [member, target] of growing) {
      const more = (target - member.share) * part;
      // The rest comes when others have heard that they have less; not in ever so many little steps.
      if (more <= 0 || (part < 1 && more < target * WORTHWHILE)) continue;
      member.share += more;
      member.held = Math.max(member.held, member.share);
      changed.add(member);
    }
    return [...changed];
  }

  #shrink(targets: ReadonlyMap<Member, number>): Member[] {
    const shrunk = [...targets].filter(([member, target]) => target < member.share * (1 - ROUNDING));
    for (const [member, target] of shrunk) member.share = target;
    return shrunk.map(([member]) => member);
  }

  #free(): number {
    return this.rate * (1 - ROUNDING) - this.held;
  }

  /** Will be free when those who have less know it. */
  #coming(): number {
    let coming = 0;
    for (const member of this.#members) coming += member.held - member.share;
    return coming;
  }

  /** What each should have, if all were heard at once; together the rate. */
  #targets(): Map<Member, number> {
    const wants = [...this.#members].map((member) => ({ member, want: this.#want(member) }));
    wants.sort((one, other) => one.want - other.want);
    const targets = new Map<Member, number>();
    let left = this.rate * (1 - ROUNDING);
    let count = wants.length;
    for (const { member, want } of wants) {
      const target = Math.min(want, left / count);
      targets.set(member, target);
      left -= target;
      count -= 1;
    }
    const extra = left / wants.length;
    if (extra > 0) for (const [member, target] of targets) targets.set(member, target + extra);
    return targets;
  }

  /** Who has told nothing yet may need all. */
  #want({ demand }: Member): number {
    return demand === undefined ? this.rate : demand * HEADROOM;
  }
}
