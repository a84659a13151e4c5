/**
 * What has become of jobs and is not told to the service yet: gathered for a moment, sent with the next lease, and
 * repeated for as long as the lease may last.
 *
 * A settlement that was sent and not answered is sent again: the service takes it once, and answers `lease_lost` to
 * the repeat, which then means nothing.
 */
import type { ErrorFacts } from './errors.ts';
import type { HeldJob } from './job.ts';
import type { Settled, Settlements } from './queue-door.ts';

export type Outcome =
  | { kind: 'ack'; result: unknown; bytes: number }
  | { kind: 'fail'; error: ErrorFacts }
  | { kind: 'release' };

export interface Entry {
  job: HeldJob;
  outcome: Outcome;
  /** Steady milliseconds; after that nobody can take it any more. */
  expiresMs: number;
  /** It was sent before, and its answer was lost. */
  wasSent: boolean;
  /** Only by itself: it was in a call that was refused as a whole, and may be the reason. */
  isSuspect: boolean;
}

/** One call with settlements: what it carries, and which entry each item of the answer is about. */
export interface Parcel {
  entries: Entry[];
  settlements: Settlements;
}

/** Well below what NATS carries in a message (1 MiB by default), with the rest of the call. */
const PARCEL_BYTES_MAX = 512 * 1_024;
/** The most items of a kind that the service takes in a call. */
const PARCEL_ENTRIES_MAX = 1_000;
/** About what an entry takes beside its result. */
const ENTRY_BYTES = 64;

export class Outbox {
  #entries: Entry[] = [];
  /** Steady milliseconds at which the oldest came. */
  #sinceMs = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** How long the oldest has waited. */
  ageMs(nowMs: number): number {
    return this.#entries.length === 0 ? 0 : nowMs - this.#sinceMs;
  }

  add(entry: Entry, nowMs: number): void {
    if (this.#entries.length === 0) this.#sinceMs = nowMs;
    this.#entries.push(entry);
  }

  /** Those of a failed call, before all others. */
  putBack(entries: readonly Entry[], nowMs: number): void {
    if (this.#entries.length === 0) this.#sinceMs = nowMs;
    this.#entries = [...entries, ...this.#entries];
  }

  /** Takes away those that nobody can take any more. */
  removeExpired(nowMs: number): Entry[] {
    const expired = this.#entries.filter(({ expiresMs }) => expiresMs <= nowMs);
    if (expired.length > 0) this.#entries = this.#entries.filter(({ expiresMs }) => expiresMs > nowMs);
    return expired;
  }

  /** As many as one call may carry. */
  takeParcel(nowMs: number): Parcel {
    const count = this.#countOfParcel();
    const entries = this.#entries.splice(0, count);
    this.#sinceMs = nowMs;
    return { entries: inOrder(entries), settlements: settlementsOf(entries) };
  }

  #countOfParcel(): number {
    let bytes = 0;
    let count = 0;
    for (const { outcome, isSuspect } of this.#entries) {
      if (isSuspect && count > 0) break;
      bytes += ENTRY_BYTES + bytesOf(outcome);
      if (count > 0 && bytes > PARCEL_BYTES_MAX) break;
      count++;
      if (isSuspect || count === PARCEL_ENTRIES_MAX) break;
    }
    return count;
  }
}

function bytesOf(outcome: Outcome): number {
  if (outcome.kind === 'release') return 0;
  if (outcome.kind === 'ack') return outcome.bytes;
  return 3 * (outcome.error.message.length + (outcome.error.stack?.length ?? 0));
}

const isDone = (outcome: Outcome): boolean => outcome.kind === 'ack' && outcome.result === undefined;

const RANK = { ack: 1, fail: 2, release: 3 } as const;
const rankOf = (outcome: Outcome): number => (isDone(outcome) ? 0 : RANK[outcome.kind]);

/** As the service answers them: done, acks, fails, releases, each in their order. */
function inOrder(entries: Entry[]): Entry[] {
  if (entries.every(({ outcome }) => isDone(outcome))) return entries;
  return entries.toSorted((a, b) => rankOf(a.outcome) - rankOf(b.outcome));
}

function settlementsOf(entries: readonly Entry[]): Settlements {
  const settlements: Settlements = {};
  const done: string[] = [];
  for (const { job, outcome } of entries) {
    const { id, token } = job;
    if (isDone(outcome)) {
      done.push(id, token);
    } else if (outcome.kind === 'ack') {
      settlements.acks ??= [];
      settlements.acks.push({ id, token, result: outcome.result });
    } else if (outcome.kind === 'release') {
      settlements.releases ??= [];
      settlements.releases.push({ id, token });
    } else {
      const { type, message, stack, retryAfterMs, isFinal } = outcome.error;
      settlements.fails ??= [];
      settlements.fails.push({ id, token, error: { type, message, stack }, retryAfterMs, final: isFinal });
    }
  }
  if (done.length > 0) settlements.done = done.join(' ');
  return settlements;
}

/** The entries that were refused, with why. */
export function refusedOf({ entries }: Parcel, settled: readonly Settled[]): { entry: Entry; problem: RefusedBody }[] {
  const refused: { entry: Entry; problem: RefusedBody }[] = [];
  // In the same order, but most of those that are done are not answered.
  let at = 0;
  for (const { id, problem } of settled) {
    while (at < entries.length && entries[at]!.job.id !== id) at++;
    const entry = entries[at++];
    if (problem !== undefined && entry !== undefined) refused.push({ entry, problem: problem as RefusedBody });
  }
  return refused;
}

export type RefusedBody = { code?: string; detail?: string };
