/** Rules that decide as if: with states of their own, which begin with nothing taken, on a time that is told. */
import { type Decision, Ledger, LedgerFull, type LimiterClock } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import type { Ask } from '../store/backend.ts';
import { verdictOf } from './engine.ts';
import { type ResolvedCheck, resolve } from './resolve.ts';
import type { RuleBook } from './rule-book.ts';
import type { Check, Subject, Verdict } from './verdict.ts';

/** Keys of one simulation: some 100 MB of states. */
const STATES_MAX = 1_000_000;
/** No rule has such a key. */
const UNMATCHED: Subject = { entries: [{ key: '\0', value: '' }] };
const NOTHING_ASKED: Decision = { isAllowed: true, outcomes: [] };

export class Rehearsal {
  readonly #book: RuleBook;
  readonly #ledger: Ledger;
  readonly #startMs: number;
  #atMs: number;
  /** Names of limits that were met and cannot be decided so: places. */
  readonly notSimulated = new Set<string>();

  constructor(book: RuleBook, startMs: number) {
    this.#book = book;
    this.#startMs = startMs;
    this.#atMs = startMs;
    const clock: LimiterClock = {
      nowUs: () => (this.#atMs - this.#startMs) * 1_000,
      wallUs: () => this.#atMs * 1_000,
    };
    this.#ledger = new Ledger({ clock, statesMax: STATES_MAX });
  }

  /**
   * @param atMs - Never goes back; an earlier moment is taken for the last one.
   * @throws Problem `unprocessable` when there are too many keys, or one is too long.
   */
  decide(check: Check, atMs: number): Verdict {
    this.#atMs = Math.max(this.#atMs, atMs);
    const ready = this.#resolved(check);
    for (const { name } of ready.holds) this.notSimulated.add(name);
    if (ready.charges.length === 0) return verdictOf(ready, NOTHING_ASKED);
    return verdictOf(ready, this.#decided(ready));
  }

  #decided({ charges, mode }: Ask): Decision {
    try {
      return this.#ledger.decide(charges, mode);
    } catch (error) {
      if (error instanceof LedgerFull) {
        const detail = `the traffic has more keys than a simulation keeps: ${STATES_MAX.toLocaleString('en')}`;
        throw new Problem('unprocessable', detail, { cause: error });
      }
      // A key that is too long, which the service refuses as well.
      if (error instanceof RangeError) throw new Problem('unprocessable', error.message, { cause: error });
      throw error;
    }
  }

  /** A limit that was asked for by its name and is not in these rules limits nothing. */
  #resolved(check: Check): ResolvedCheck {
    try {
      return resolve(this.#book, check, { shadowAll: false });
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'limit_not_found') throw error;
      const { domain } = check;
      const isMissing = ({ ruleName }: Subject) =>
        ruleName !== undefined && this.#book.named(domain, ruleName) === undefined;
      const subjects = check.subjects.map((subject) => (isMissing(subject) ? UNMATCHED : subject));
      return resolve(this.#book, { ...check, subjects }, { shadowAll: false });
    }
  }
}
