/** The part of the battery about requests of several charges, penalties, blocks, and the passing of time. */
import { expect, test } from '@jest/globals';
import { type Bench, left, long, of, RATE_ALGORITHMS } from './backend-bench.contract.ts';

export function decidesTogether(bench: Bench): void {
  test.each([2, 3, 8])('of %i keys all are taken or none, wherever the one lies that is used up', async (count) => {
    for (let empty = 0; empty < count; empty++) {
      const charges = Array.from({ length: count }, (_, at) =>
        bench.charge(long(RATE_ALGORITHMS[at % RATE_ALGORITHMS.length]!, 2)),
      );
      expect((await bench.take(...charges)).isAllowed).toBe(true);
      await bench.take(charges[empty]!);
      const { isAllowed, outcomes } = await bench.take(...charges);
      expect(isAllowed).toBe(false);
      expect(outcomes.map((outcome) => outcome.isAllowed)).toEqual(charges.map((_, at) => at !== empty));
      expect(outcomes.map(({ remaining }) => remaining)).toEqual(charges.map((_, at) => (at === empty ? 0 : 1)));
      expect(await Promise.all(charges.map((charge) => left(bench, charge)))).toEqual(
        charges.map((_, at) => (at === empty ? 0 : 1)),
      );
    }
  });

  test('a shadow charge denies nothing, and is taken with the request and only with it', async () => {
    const [real, shadow] = [bench.charge(long('gcra', 2)), bench.charge(long('gcra', 1), { isShadow: true })];
    expect((await bench.take(real, shadow)).outcomes.map(({ remaining }) => remaining)).toEqual([1, 0]);
    const second = await bench.take(shadow, real);
    expect(second.isAllowed).toBe(true);
    expect(second.outcomes.map(({ isAllowed }) => isAllowed)).toEqual([false, true]);
    const fresh = bench.charge(long('strict', 1), { isShadow: true });
    expect((await bench.take(fresh, real)).isAllowed).toBe(false);
    expect(await left(bench, fresh)).toBe(1);
    expect((await bench.take(fresh)).isAllowed).toBe(true);
    const alone = await bench.take(fresh);
    expect([alone.isAllowed, alone.outcomes[0]!.isAllowed]).toEqual([true, false]);
  });

  test.each(RATE_ALGORITHMS)('one key twice in a request is charged for both or not at all: %s', async (algorithm) => {
    const charge = bench.charge(long(algorithm, 5));
    expect((await bench.take(of(charge, 3), of(charge, 3))).isAllowed).toBe(false);
    expect(await left(bench, charge)).toBe(5);
    expect((await bench.take(of(charge, 2), of(charge, 3))).isAllowed).toBe(true);
    expect(await left(bench, charge)).toBe(0);
  });

  test('asks of one call are decided in their order, a thousand of them', async () => {
    const [hot, all] = [bench.charge(long('gcra', 700)), bench.charge(long('fixed', 600))];
    const asks = Array.from({ length: 1_000 }, (_, at) => ({
      charges: at % 2 === 0 ? [hot] : [hot, all],
      mode: 'take' as const,
    }));
    const decisions = await bench.backend.decide(asks);
    expect(decisions.map(({ isAllowed }) => isAllowed)).toEqual(asks.map((_, at) => at < 700));
    expect(await left(bench, all)).toBe(250);
  });

  test('no asks and an ask without charges have their answers', async () => {
    expect(await bench.backend.decide([])).toEqual([]);
    expect(await bench.take()).toEqual({ isAllowed: true, outcomes: [] });
  });
}

export function blocks(bench: Bench): void {
  test('the denial that is one too many blocks the key, and the block ends by itself', async () => {
    const penalty = { denials: 3, withinMs: 60_000, blockMs: 400 };
    const charge = bench.charge(long('strict', 1), { penalty });
    expect((await bench.take(charge)).isAllowed).toBe(true);
    for (let denial = 1; denial <= 3; denial++) expect((await bench.take(charge)).isAllowed).toBe(false);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: true });
    await bench.backend.give([charge]);
    expect((await bench.take(charge)).isAllowed).toBe(false);
    await bench.pass(500);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: true, isBlocked: false });
  });

  test('denials count no longer than the penalty says, and looks do not count', async () => {
    const penalty = { denials: 2, withinMs: 300, blockMs: 60_000 };
    const charge = bench.charge(long('gcra', 1), { penalty });
    await bench.take(charge);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: false });
    for (let look = 0; look < 3; look++) await bench.backend.decide([{ charges: [charge], mode: 'look' }]);
    await bench.pass(400);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: false });
    expect((await bench.take(charge)).isAllowed).toBe(false);
    expect((await bench.take(charge)).outcomes[0]).toMatchObject({ isBlocked: true });
    await bench.backend.reset([charge]);
    expect((await bench.take(charge)).isAllowed).toBe(true);
  });

  test('a block of a key nobody used ends at its time', async () => {
    const charge = bench.charge(long('fixed', 1));
    await bench.backend.block([charge], 300);
    expect((await bench.take(charge)).isAllowed).toBe(false);
    await bench.pass(400);
    expect((await bench.take(charge)).isAllowed).toBe(true);
  });
}

export function recovers(bench: Bench): void {
  test.each(['gcra', 'strict', 'sliding', 'fixed', 'leaky'] as const)(
    'who comes when it was told to is admitted: %s',
    async (algorithm) => {
      const charge = bench.charge({ algorithm, limit: 4, windowMs: 600 });
      let waitUs = 0;
      // A window may end between two takes; ten of them in a row are more than one window holds.
      for (let at = 0; at < 10 && waitUs === 0; at++) waitUs = (await bench.take(charge)).outcomes[0]!.retryAfterUs;
      expect(waitUs).toBeGreaterThan(0);
      expect(waitUs).toBeLessThanOrEqual(1_200_000);
      await bench.pass(waitUs / 1_000 + 2);
      expect((await bench.take(charge)).isAllowed).toBe(true);
    },
  );

  test('of a leaky bucket each waits a step longer than the one before', async () => {
    const charge = bench.charge({ algorithm: 'leaky', limit: 10, windowMs: 1_000_000 });
    for (let turn = 0; turn < 3; turn++) {
      const { delayUs } = (await bench.take(charge)).outcomes[0]!;
      expect(delayUs).toBeGreaterThan(turn * 100_000_000 - 5_000_000);
      expect(delayUs).toBeLessThanOrEqual(turn * 100_000_000);
    }
  });
}
