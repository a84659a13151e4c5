/** Random operations on a ledger beside the oracle, which adds up what was taken from the beginning each time. */
import { describe, expect, test } from '@jest/globals';
import type { Charge, Mode, Outcome } from './charge.ts';
import { Ledger } from './ledger.ts';
import { drawer, freshSeed, isLong, ManualClock } from './manual-clock.fixture.ts';
import { type Reference, referenceOf } from './oracle.ts';
import { type PolicySpec, policyOf } from './policy.ts';

const SPECS: PolicySpec[] = [
  { algorithm: 'gcra', limit: 10, windowMs: 1_000 },
  { algorithm: 'gcra', limit: 7, windowMs: 3_000, burst: 3 },
  { algorithm: 'leaky', limit: 5, windowMs: 2_000 },
  { algorithm: 'strict', limit: 9, windowMs: 1_000 },
  { algorithm: 'sliding', limit: 8, windowMs: 1_000 },
  { algorithm: 'fixed', limit: 6, windowMs: 1_000 },
  { algorithm: 'calendar', limit: 50, period: 'day', timeZone: 'America/Sao_Paulo' },
];
const POLICIES = SPECS.map((spec) => policyOf(spec));
const TICK_US = 64;
const KEYS_PER_SPEC = 4;
const STEPS = isLong ? 1_000_000 : 6_000;

class Model {
  readonly clock = new ManualClock({ steady: 50_000_000, wall: Date.parse('2018-10-20T12:00Z') * 1_000 });
  readonly ledger: Ledger;
  readonly references = new Map<string, Reference>();
  readonly draw: (below: number) => number;

  constructor(seed: number) {
    this.draw = drawer(seed);
    this.ledger = new Ledger({ clock: this.clock, seed });
  }

  charge(costMax: number): Charge {
    const kind = this.draw(SPECS.length);
    const key = `${kind}-${this.draw(KEYS_PER_SPEC)}`;
    return { key, policy: POLICIES[kind]!, cost: this.draw(costMax + 1), isShadow: this.draw(6) === 0 };
  }

  reference({ key }: Charge): Reference {
    const known = this.references.get(key) ?? referenceOf(SPECS[Number(key[0])]!);
    this.references.set(key, known);
    return known;
  }

  nowUs({ policy }: Charge): number {
    return policy.periods === undefined ? this.clock.steady : this.clock.wall;
  }

  /** All that `decide` promises, said as plainly as can be. */
  expected(charges: readonly Charge[], mode: Mode): { isAllowed: boolean; singly: boolean[]; remaining: number[] } {
    const singly = charges.map(() => false);
    const taken: Charge[] = [];
    const weigh = (isShadow: boolean) => {
      for (const [at, one] of charges.entries()) {
        if (one.isShadow !== isShadow) continue;
        const before = taken.reduce((sum, { key, cost }) => sum + (key === one.key ? cost : 0), 0);
        singly[at] = before + one.cost <= this.reference(one).available(this.nowUs(one));
        if (singly[at] || !isShadow) taken.push(one);
      }
    };
    weigh(false);
    const isAllowed = charges.every((one, at) => one.isShadow === true || singly[at]);
    weigh(true);
    const really = mode === 'look' ? [] : mode === 'debit' ? charges : isAllowed ? taken : [];
    for (const one of really) this.reference(one).take(this.nowUs(one), one.cost);
    const remaining = charges.map((one) => Math.max(0, this.reference(one).available(this.nowUs(one))));
    return { isAllowed, singly, remaining };
  }

  step(): { found: unknown; wanted: unknown } {
    this.pass();
    const choice = this.draw(20);
    if (choice === 0) return this.give();
    if (choice === 1) return this.reset();
    if (choice === 2) return { found: this.ledger.sweep(this.draw(10)) >= 0, wanted: true };
    const charges = Array.from({ length: choice < 12 ? 1 : 1 + this.draw(5) }, () => this.charge(4));
    const mode = (['take', 'take', 'take', 'look', 'debit'] as const)[this.draw(5)]!;
    const wanted = this.expected(charges, mode);
    const { isAllowed, outcomes } = this.ledger.decide(charges, mode);
    // A debit tells the wait of the moment before it; of several charges each tells that of all before it too.
    if (charges.length === 1 && mode !== 'debit') this.checkWait(charges[0]!, outcomes[0]!);
    const singly = outcomes.map((outcome) => outcome.isAllowed);
    return { found: { isAllowed, singly, remaining: outcomes.map(({ remaining }) => remaining) }, wanted };
  }

  /** Who waits as long as told finds the units; who waits a twentieth less does not. */
  checkWait({ key, policy, cost }: Charge, { isAllowed, retryAfterUs }: Outcome): void {
    if (isAllowed || !Number.isFinite(retryAfterUs)) return;
    const later = (us: number) => {
      const clock = new ManualClock(this.clock);
      const other = new Ledger({ clock, seed: 0 });
      other.import(this.ledger.export((other) => other === key));
      clock.passUs(us);
      return other.decideOne({ key, policy, cost }, 'look').isAllowed;
    };
    expect(later(Math.ceil(retryAfterUs))).toBe(true);
    expect(later(Math.floor(retryAfterUs * 0.95) - 20_000)).toBe(false);
  }

  /**
   * Times are multiples of 64 µs and windows are too, but a hundredth of a unit is not: so the ledger and the model,
   * which round differently, never stand exactly where a unit comes back.
   */
  pass(): void {
    const kind = this.draw(12);
    if (kind < 6) this.clock.passUs(this.draw(800) * TICK_US);
    else if (kind < 8) this.clock.passUs(this.draw(31_250) * TICK_US);
    else if (kind === 8) this.clock.passUs(TICK_US * (this.draw(100) === 0 ? this.draw(1_350_000_000) : 1));
    else if (kind === 9) this.clock.steady = Math.ceil(this.clock.steady / 1_000_000) * 1_000_000;
  }

  give() {
    const charge = this.charge(4);
    this.ledger.give([charge]);
    this.reference(charge).give(this.nowUs(charge), charge.cost);
    return { found: 0, wanted: 0 };
  }

  reset() {
    const charge = this.charge(4);
    this.ledger.reset([charge]);
    this.references.delete(charge.key);
    return { found: 0, wanted: 0 };
  }
}

describe('random operations', () => {
  const seed = freshSeed();

  test(`decide as the definitions say: ${STEPS} steps, seed ${seed}`, () => {
    const model = new Model(seed);
    for (let step = 0; step < STEPS; step++) {
      const { found, wanted } = model.step();
      expect({ seed, step, found }).toEqual({ seed, step, found: wanted });
    }
  }, 3_600_000);

  test(`leave nothing behind when all is as good as new: seed ${seed}`, () => {
    const model = new Model(seed);
    for (let step = 0; step < 1_000; step++) model.step();
    model.clock.passMs(400 * 86_400_000);
    model.ledger.sweep();
    expect(model.ledger.size).toBe(0);
  });
});
