/**
 * What a watcher of the members' bucket knows. Coming, announcing to leave and going are changes; a heartbeat is none.
 * The epoch is the revision of the latest change: all see the changes of one bucket in one order, so that members with
 * the same epoch know the same members.
 */

/** The value of a member's key, as JSON. */
export interface MemberRecord {
  /** Revision of the latest change of this member; 0 in the write that is one. */
  readonly since: number;
  /** It hands over what it owns and is about to go. */
  readonly isLeaving: boolean;
  /** Tells this life of the member from an earlier one under the same id. */
  readonly life: string;
}

/** The members as of one epoch. */
export interface View {
  readonly epoch: number;
  /** All who may still decide or hold states, those who are leaving included. */
  readonly members: readonly string[];
  /** Among whom slots are divided. */
  readonly active: readonly string[];
}

interface Known {
  revision: number;
  since: number;
  isLeaving: boolean;
  seenMs: number;
}

export const NOBODY: View = { epoch: 0, members: [], active: [] };

export class Roster {
  readonly #known = new Map<string, Known>();
  #epoch: number;
  /** The latest revision that was seen, heartbeats included. */
  revision = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** @returns True when the view has changed. */
  put(id: string, revision: number, { since, isLeaving }: MemberRecord, nowMs: number): boolean {
    const known = this.#known.get(id);
    const changed = since === 0 ? revision : since;
    this.#known.set(id, { revision, since: changed, isLeaving, seenMs: nowMs });
    this.#note(revision, changed);
    return known === undefined || known.since !== changed;
  }

  /** @returns True when the view has changed. */
  remove(id: string, revision: number): boolean {
    this.#note(revision, revision);
    return this.#known.delete(id);
  }

  /** What stands here was read anew: heartbeats that `earlier` knew already prove nothing, so they keep their age. */
  keepAges(earlier: Roster): void {
    for (const [id, known] of this.#known) {
      const before = earlier.#known.get(id);
      if (before?.revision === known.revision) known.seenMs = before.seenMs;
    }
  }

  /** Nobody could be heard for a while: silence until now says nothing. */
  forgive(nowMs: number): void {
    for (const known of this.#known.values()) known.seenMs = nowMs;
  }

  /** Those whose latest heartbeat was seen before this moment, with its revision. */
  silentSince(beforeMs: number): { id: string; revision: number }[] {
    return [...this.#known]
      .filter(([, { seenMs }]) => seenMs < beforeMs)
      .map(([id, { revision }]) => ({ id, revision }));
  }

  get view(): View {
    const members = [...this.#known.keys()].sort();
    const staying = members.filter((id) => !this.#known.get(id)!.isLeaving);
    // When all are leaving there is nobody to hand anything to, and the last one decides until it is gone.
    return { epoch: this.#epoch, members, active: staying.length > 0 ? staying : members };
  }

  #note(revision: number, changed: number): void {
    this.revision = Math.max(this.revision, revision);
    this.#epoch = Math.max(this.#epoch, changed);
  }
}
