/**
 * The battery every backend of `backend.ts` passes, whatever its clock. A backend whose clock the test owns is also held
 * to the pure ledger in every figure (`backend-agreement.contract.ts`).
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { RateAlgorithm } from '@plinth/limiter';
import { agreesWithTheLedger } from './backend-agreement.contract.ts';
import {
  type BackendUnderTest,
  type Bench,
  BenchOf,
  left,
  long,
  of,
  RATE_ALGORITHMS,
} from './backend-bench.contract.ts';
import { claims, holdsPlaces } from './backend-places.contract.ts';
import { blocks, decidesTogether, recovers } from './backend-requests.contract.ts';

/** @param make - Called once: keys tell the tests apart. */
export function describeBackend(name: string, make: () => Promise<BackendUnderTest>): void {
  describe(`${name} keeps the contract of backends`, () => {
    const bench = new BenchOf();
    beforeAll(async () => bench.use(await make()), 60_000);
    afterAll(() => bench.subject.stop());
    describe.each(RATE_ALGORITHMS)('%s', (algorithm) => {
      decides(bench, algorithm);
      amends(bench, algorithm);
      lends(bench, algorithm);
    });
    decidesTogether(bench);
    blocks(bench);
    recovers(bench);
    holdsPlaces(bench);
    claims(bench);
    agreesWithTheLedger(bench);
  });
}

function decides(bench: Bench, algorithm: RateAlgorithm): void {
  test('admits the limit and then denies, and says how much is left', async () => {
    const charge = bench.charge(long(algorithm, 5));
    for (let remaining = 4; remaining >= 0; remaining--) {
      const { isAllowed, outcomes } = await bench.take(charge);
      expect(isAllowed).toBe(true);
      expect(outcomes[0]).toMatchObject({ isAllowed: true, remaining, retryAfterUs: 0, isBlocked: false });
      expect(outcomes[0]!.resetUs).toBeGreaterThan(0);
    }
    const { isAllowed, outcomes } = await bench.take(charge);
    expect(isAllowed).toBe(false);
    expect(outcomes[0]).toMatchObject({ isAllowed: false, remaining: 0, isBlocked: false });
    expect(outcomes[0]!.retryAfterUs).toBeGreaterThan(0);
    expect(outcomes[0]!.retryAfterUs).toBeLessThanOrEqual(2 * charge.policy.windowUs);
  });

  test('takes a cost as a whole or not at all', async () => {
    const charge = bench.charge(long(algorithm, 10));
    expect((await bench.take(of(charge, 7))).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 3 });
    expect((await bench.take(of(charge, 4))).outcomes[0]).toMatchObject({ isAllowed: false, remaining: 3 });
    expect((await bench.take(of(charge, 3))).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 0 });
  });

  test('a cost of 0 takes nothing, and one beyond the limit can never be had', async () => {
    const charge = bench.charge(long(algorithm, 3));
    expect((await bench.take(of(charge, 0))).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 3, resetUs: 0 });
    expect((await bench.take(of(charge, 4))).outcomes[0]).toMatchObject({
      isAllowed: false,
      remaining: 3,
      retryAfterUs: Number.POSITIVE_INFINITY,
    });
    expect((await bench.take(of(charge, 3))).isAllowed).toBe(true);
  });

  test('a limit of 0 denies', async () => {
    const { isAllowed, outcomes } = await bench.take(bench.charge(long(algorithm, 0)));
    expect(isAllowed).toBe(false);
    expect(outcomes[0]).toMatchObject({ remaining: 0, retryAfterUs: Number.POSITIVE_INFINITY });
  });

  test('look takes nothing; debit takes all, and what is owed is waited for', async () => {
    const charge = bench.charge(long(algorithm, 4));
    const decide = async (cost: number, mode: 'look' | 'debit') => {
      const [decision] = await bench.backend.decide([{ charges: [of(charge, cost)], mode }]);
      return decision!.outcomes[0]!;
    };
    expect(await decide(3, 'look')).toMatchObject({ isAllowed: true, remaining: 4 });
    expect(await decide(3, 'debit')).toMatchObject({ remaining: 1 });
    expect(await decide(3, 'look')).toMatchObject({ isAllowed: false, remaining: 1 });
    expect(await decide(3, 'debit')).toMatchObject({ remaining: 0 });
    expect((await bench.take(charge)).isAllowed).toBe(false);
    await bench.backend.give([of(charge, 3)]);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 0 });
  });

  test('64 callers of a fresh key are admitted exactly as often as its limit says', async () => {
    const charge = bench.charge(long(algorithm, 40));
    const decisions = await Promise.all(Array.from({ length: 64 }, () => bench.take(charge)));
    expect(decisions.filter(({ isAllowed }) => isAllowed)).toHaveLength(40);
    expect(await left(bench, charge)).toBe(0);
  });
}

function amends(bench: Bench, algorithm: RateAlgorithm): void {
  test('what is given back can be taken again, and never more than the limit', async () => {
    const charge = bench.charge(long(algorithm, 3));
    await bench.take(of(charge, 3));
    await bench.backend.give([of(charge, 2)]);
    expect(await left(bench, charge)).toBe(2);
    await bench.backend.give([of(charge, 100)]);
    expect(await left(bench, charge)).toBe(3);
    const fresh = bench.charge(long(algorithm, 3));
    await bench.backend.give([fresh]);
    expect(await left(bench, fresh)).toBe(3);
  });

  test('reset forgets what was taken of these keys and of no others', async () => {
    const [first, second, other] = [1, 2, 3].map(() => bench.charge(long(algorithm, 2)));
    await bench.take(first!, second!, other!);
    await bench.backend.reset([first!, second!]);
    expect([await left(bench, first!), await left(bench, second!), await left(bench, other!)]).toEqual([2, 2, 1]);
  });

  test('a blocked key denies with all its units, and has them when the block ends', async () => {
    const charge = bench.charge(long(algorithm, 3));
    await bench.take(charge);
    await bench.backend.block([charge], 60_000);
    const [outcome] = (await bench.take(charge)).outcomes;
    expect(outcome).toMatchObject({ isAllowed: false, isBlocked: true });
    expect(outcome!.retryAfterUs).toBeGreaterThan(50_000_000);
    expect(outcome!.retryAfterUs).toBeLessThanOrEqual(60_000_000);
    await bench.backend.block([charge], 0);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 1, isBlocked: false });
  });
}

function lends(bench: Bench, algorithm: RateAlgorithm): void {
  test('lends min(want, what is there, max(1, share of it)), debited at once', async () => {
    const charge = bench.charge(long(algorithm, 100));
    const grant = async (want: number, share: number) => bench.backend.grant(charge, want, share);
    expect(await grant(1_000, 0.1)).toMatchObject({ units: 10, remaining: 90, retryAfterUs: 0 });
    expect(await grant(1_000, 0.1)).toMatchObject({ units: 9, remaining: 81 });
    expect(await grant(3, 0.5)).toMatchObject({ units: 3, remaining: 78 });
    expect(await grant(50, 0.001)).toMatchObject({ units: 1, remaining: 77 });
    expect(await grant(1_000, 1)).toMatchObject({ units: 77, remaining: 0 });
    const none = await grant(5, 0.5);
    expect(none).toMatchObject({ units: 0, remaining: 0 });
    expect(none.retryAfterUs).toBeGreaterThan(0);
    expect((await bench.take(charge)).isAllowed).toBe(false);
  });

  test('lends nothing of a limit of 0 and of a blocked key', async () => {
    const none = await bench.backend.grant(bench.charge(long(algorithm, 0)), 5, 1);
    expect(none).toMatchObject({ units: 0, retryAfterUs: Number.POSITIVE_INFINITY });
    const charge = bench.charge(long(algorithm, 10));
    await bench.backend.block([charge], 60_000);
    const blocked = await bench.backend.grant(charge, 5, 1);
    expect(blocked.units).toBe(0);
    expect(blocked.retryAfterUs).toBeGreaterThan(50_000_000);
  });
}
