/**
 * The part of the battery that asks a backend and the pure ledger the same, at random, and wants the same answers. Where
 * the test owns the backend's clock, time passes in steps from nothing to several windows and all figures must agree;
 * else the windows are so long that the moment of an answer makes no difference to what is allowed and what is left.
 */
import { describe, expect, test } from '@jest/globals';
import {
  type Charge,
  type Decision,
  Ledger,
  type Mode,
  type PolicySpec,
  policyOf,
  type RateAlgorithm,
} from '@plinth/limiter';
import { type SeededRandom, seededRandom } from '@plinth/testkit';
import { type Bench, RATE_ALGORITHMS } from './backend-bench.contract.ts';

const STEPS = 300;
const KEYS = 3;
const WINDOW_MS = 60_000;
const MONTH_MS = 30 * 86_400_000;
/** Whole microseconds and the last bits of doubles. */
const ROUNDING_US = 2;

export function agreesWithTheLedger(bench: Bench): void {
  describe('agrees with the pure ledger', () => {
    test.each(RATE_ALGORITHMS)('on random asks, gifts, blocks and loans of %s', async (algorithm) => {
      const random = seededRandom();
      const run = new Run(bench, random, () => specOf(algorithm, random, bench.subject.advance !== undefined));
      for (let step = 0; step < STEPS; step++) await run.step();
    });

    test('on requests that mix them all', async () => {
      const random = seededRandom();
      const run = new Run(bench, random, () =>
        specOf(random.pick(RATE_ALGORITHMS), random, bench.subject.advance !== undefined),
      );
      for (let step = 0; step < STEPS; step++) await run.step();
    });
  });
}

function specOf(algorithm: RateAlgorithm, random: SeededRandom, isClockOurs: boolean): PolicySpec {
  const limit = 1 + random.int(30);
  if (algorithm === 'calendar') {
    return { algorithm, limit, period: isClockOurs ? 'day' : 'year', timeZone: random.pick(['UTC', 'Asia/Kolkata']) };
  }
  const burst = algorithm === 'gcra' || algorithm === 'leaky' ? { burst: 1 + random.int(40) } : {};
  return { algorithm, limit, windowMs: isClockOurs ? WINDOW_MS : MONTH_MS, ...burst };
}

/** One backend and one ledger that are asked the same. */
class Run {
  readonly #bench: Bench;
  readonly #random: SeededRandom;
  readonly #ledger: Ledger;
  readonly #charges: Charge[];

  constructor(bench: Bench, random: SeededRandom, spec: () => PolicySpec) {
    this.#bench = bench;
    this.#random = random;
    const nowUs = () => bench.subject.nowUs?.() ?? Date.now() * 1_000;
    this.#ledger = new Ledger({ clock: { nowUs, wallUs: nowUs } });
    const penalty = { denials: 4, withinMs: 30_000, blockMs: 90_000 };
    this.#charges = Array.from({ length: KEYS }, (_, at) => {
      const more = { isShadow: at === 1 && random() < 0.5, ...(at === 2 && random() < 0.5 && { penalty }) };
      return { key: bench.key(), policy: policyOf(spec()), cost: 1, ...more };
    });
  }

  async step(): Promise<void> {
    const random = this.#random;
    await this.#bench.subject.advance?.(random.pick([0, 0, 0, 1, 250, 999, 1_000, 7_000, 60_000, 200_000]));
    const deed = random();
    if (deed < 0.8) await this.#decide();
    else if (deed < 0.9) await this.#give();
    else if (deed < 0.95) await this.#grant();
    else if (deed < 0.98) await this.#block();
    else await this.#reset();
  }

  async #decide(): Promise<void> {
    const random = this.#random;
    const charges = Array.from({ length: 1 + random.int(4) }, () => this.#charge());
    const mode: Mode = random.pick(['take', 'take', 'take', 'take', 'look', 'debit']);
    const expected = this.#ledger.decide(charges, mode);
    const [decision] = await this.#bench.backend.decide([{ charges, mode }]);
    this.#compare(decision!, expected);
  }

  async #give(): Promise<void> {
    const agoUs = this.#bench.subject.advance ? this.#random.pick([0, 0, 900_000, 70_000_000]) : 0;
    const given = [{ ...this.#charge(), agoUs }];
    this.#ledger.give(given);
    await this.#bench.backend.give(given);
  }

  async #block(): Promise<void> {
    const [blocked, forMs] = [[this.#charge()], this.#random.pick([0, 50_000, 100_000])];
    this.#ledger.block(blocked, forMs);
    await this.#bench.backend.block(blocked, forMs);
  }

  async #reset(): Promise<void> {
    const forgotten = [this.#charge()];
    this.#ledger.reset(forgotten);
    await this.#bench.backend.reset(forgotten);
  }

  async #grant(): Promise<void> {
    const charge = this.#charge();
    const [want, share] = [1 + this.#random.int(20), this.#random.pick([0.05, 0.3, 1])];
    const expected = this.#ledger.grant(charge, want, share);
    const grant = await this.#bench.backend.grant(charge, want, share);
    expect([grant.units, grant.remaining]).toEqual([expected.units, expected.remaining]);
    if (this.#bench.subject.nowUs === undefined) return;
    near(grant.retryAfterUs, expected.retryAfterUs);
    near(grant.resetUs, expected.resetUs);
    near(grant.lifeUs ?? -1, expected.lifeUs ?? -1);
  }

  #compare(decision: Decision, expected: Decision): void {
    const told = ({ isAllowed, outcomes }: Decision) => ({
      isAllowed,
      outcomes: outcomes.map((outcome) => [outcome.isAllowed, outcome.remaining, outcome.isBlocked]),
    });
    expect(told(decision)).toEqual(told(expected));
    if (this.#bench.subject.nowUs === undefined) return;
    for (const [at, outcome] of decision.outcomes.entries()) {
      const other = expected.outcomes[at]!;
      near(outcome.retryAfterUs, other.retryAfterUs);
      near(outcome.resetUs, other.resetUs);
      if (outcome.isAllowed) near(outcome.delayUs, other.delayUs);
    }
  }

  /** One of the keys, at a random cost. */
  #charge(): Charge {
    return { ...this.#random.pick(this.#charges), cost: this.#random.pick([0, 1, 1, 1, 2, 3, 7, 50]) };
  }
}

function near(us: number, expected: number): void {
  if (us === expected) return;
  expect(Math.abs(us - expected)).toBeLessThanOrEqual(ROUNDING_US);
}
