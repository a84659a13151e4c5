/** The battery on a real Redis, with its own time and with one that the test owns; and what is particular to Redis. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type PolicySpec, policyOf } from '@plinth/limiter';
import { eventually, withRedis } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { describeBackend } from './backend.contract.ts';
import { BackendAway } from './backend.ts';
import { AMEND } from './redis/amend-script.ts';
import { DECIDE } from './redis/decide-script.ts';
import { HOLD } from './redis/hold-script.ts';
import { PACED } from './redis/paced-script.ts';
import { script } from './redis/script.ts';
import { RedisBackend, type RedisBackendOptions, type RedisScripts } from './redis-backend.ts';

const redis = withRedis();

/** Slow machines answer late now and then; that they do is told elsewhere. */
const PATIENT = { commandTimeoutMs: 2_000 };

async function opened(options: Partial<RedisBackendOptions> = {}): Promise<RedisBackend> {
  const backend = new RedisBackend({ url: redis.url, ...PATIENT, ...options });
  await eventually(() => backend.notReady() === undefined);
  return backend;
}

/** The same scripts, but the time is what a key says. */
function scriptsOfOurTime(clock: string): RedisScripts {
  const ours = ({ name, text }: { name: string; text: string }) =>
    script(name, text.replace("call('TIME')", `call('HMGET', '${clock}', 's', 'us')`));
  return { paced: ours(PACED), decide: ours(DECIDE), amend: ours(AMEND), hold: ours(HOLD) };
}

describeBackend('Redis in real time', async () => {
  const backend = await opened();
  return { backend, stop: () => backend.stop() };
});

describeBackend('Redis with a clock of ours', async () => {
  return onOurTime('clock');
});

/** A backend whose server's time is ours. It begins an hour before midnight in UTC, so that a day ends soon. */
async function onOurTime(clock: string) {
  const client = new Redis(redis.url);
  let nowMs = Date.UTC(2030, 4, 5, 23, 0, 0);
  const advance = async (ms: number) => {
    nowMs += Math.round(ms);
    await client.hset(clock, { s: Math.floor(nowMs / 1_000), us: (nowMs % 1_000) * 1_000 });
  };
  await advance(0);
  const backend = await opened({ scripts: scriptsOfOurTime(clock) });
  const stop = async () => {
    await backend.stop();
    client.disconnect();
  };
  return { backend, advance, nowUs: () => nowMs * 1_000, stop };
}

describe('Redis', () => {
  let backend: RedisBackend;
  let client: Redis;
  beforeAll(async () => {
    client = new Redis(redis.url);
    backend = await opened();
  });
  afterAll(async () => {
    await backend.stop();
    client.disconnect();
  });

  let keys = 0;
  const charge = (spec: PolicySpec, cost = 1) => ({ key: `own:${keys++}`, policy: policyOf(spec), cost });
  const take = async (...charges: ReturnType<typeof charge>[]) =>
    (await backend.decide([{ charges, mode: 'take' }]))[0]!;

  test('every state ends by itself, when it is equal to none, and none is kept for what took nothing', async () => {
    const kinds: [PolicySpec, number][] = [
      [{ limit: 10, windowMs: 10_000 }, 1_000],
      [{ algorithm: 'leaky', limit: 10, windowMs: 10_000 }, 1_000],
      [{ algorithm: 'strict', limit: 10, windowMs: 60_000 }, 61_000],
      [{ algorithm: 'sliding', limit: 10, windowMs: 60_000 }, 120_000],
      [{ algorithm: 'fixed', limit: 10, windowMs: 60_000 }, 60_000],
      [{ algorithm: 'calendar', limit: 10, period: 'day' }, 86_400_000],
    ];
    for (const [spec, mostMs] of kinds) {
      const one = charge(spec);
      await take({ ...one, cost: 11 });
      await take({ ...one, cost: 0 });
      expect(await client.exists(`rl:{${one.key}}`)).toBe(0);
      await take(one);
      const lifeMs = await client.pttl(`rl:{${one.key}}`);
      expect(lifeMs).toBeGreaterThan(0);
      expect(lifeMs).toBeLessThanOrEqual(mostMs + 1);
      await backend.give([one]);
      expect(await client.exists(`rl:{${one.key}}`)).toBe(0);
    }
    const places = charge({ algorithm: 'concurrency', limit: 2 });
    await backend.hold({ charge: places, id: 'a', holdMs: 5_000 });
    expect(await client.pttl(`rl:{${places.key}}:h`)).toBeGreaterThan(4_000);
    await backend.release(places, 'a', {});
    expect(await client.exists(`rl:{${places.key}}:h`)).toBe(0);
  });

  test('a debt that no window pays back is kept for a century and not for ever', async () => {
    const huge = charge({ limit: 1, windowMs: 31_622_400_000 }, 1_000_000_000);
    const debit = async () => (await backend.decide([{ charges: [huge], mode: 'debit' }]))[0]!;
    await debit();
    expect((await take({ ...huge, cost: 1 })).outcomes[0]).toMatchObject({ isAllowed: false, remaining: 0 });
    expect(await client.pttl(`rl:{${huge.key}}`)).toBeGreaterThan(3_000_000_000_000);
    expect((await debit()).outcomes[0]!.retryAfterUs).toBe(Number.POSITIVE_INFINITY);
  });

  test('keys with braces, without letters and of 4 KiB are told apart', async () => {
    const names = ['', '}', '{}', '}{', 'a}b', 'a}c', '%7D', '%', '%25', 'ключ', 'x'.repeat(4_096)];
    const once = names.map((key) => ({ ...charge({ limit: 1, windowMs: 3_600_000 }), key }));
    for (const one of once) expect((await take(one)).isAllowed).toBe(true);
    for (const one of once) expect((await take(one)).isAllowed).toBe(false);
    await backend.reset(once);
    expect((await take(...once)).isAllowed).toBe(true);
  });

  test('what a key counted under another kind of limit is gone, and its block stays', async () => {
    const one = charge({ limit: 2, windowMs: 3_600_000 });
    const other = { ...one, policy: policyOf({ algorithm: 'strict', limit: 2, windowMs: 3_600_000 }) };
    await take({ ...one, cost: 2 });
    expect((await take(other)).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 1 });
    await backend.block([other], 60_000);
    expect((await take(one)).outcomes[0]).toMatchObject({ isAllowed: false, isBlocked: true });
  });

  test('a limit of 100,000 units in 10 ms loses none of them to rounding', async () => {
    const fast = charge({ limit: 100_000, windowMs: 10, burst: 1_000_000 }, 1_000_000);
    expect((await take(fast)).outcomes[0]).toMatchObject({ isAllowed: true, remaining: 0 });
  });

  test.each(['gcra', 'leaky', 'strict', 'sliding', 'fixed', 'calendar'] as const)(
    'a server whose clock goes back frees nothing, and one whose clock is right again all: %s',
    async (algorithm) => {
      const { backend: limiter, advance, stop } = await onOurTime(`back:${algorithm}`);
      const spec: PolicySpec =
        algorithm === 'calendar' ? { algorithm, limit: 5, period: 'day' } : { algorithm, limit: 5, windowMs: 60_000 };
      const one = charge(spec, 5);
      const isAllowed = async () => (await limiter.decide([{ charges: [one], mode: 'take' }]))[0]!.isAllowed;
      expect(await isAllowed()).toBe(true);
      for (const backMs of [1, 5_000, 600_000, 90_000_000]) {
        await advance(-backMs);
        expect(await isAllowed()).toBe(false);
        await advance(backMs);
        expect(await isAllowed()).toBe(false);
      }
      await advance(algorithm === 'calendar' ? 3_600_000 : 120_000);
      expect(await isAllowed()).toBe(true);
      await stop();
    },
  );

  test.each([-600_000, 600_000, 86_400_000, -40 * 86_400_000])(
    'the clock of the service, wrong by %i ms, has no influence',
    async (wrongMs) => {
      const wrong = await opened({ now: () => Date.now() + wrongMs });
      const specs: PolicySpec[] = [
        { algorithm: 'calendar', limit: 5, period: 'day', timeZone: 'Asia/Tokyo' },
        { algorithm: 'fixed', limit: 5, windowMs: 2_592_000_000 },
        { limit: 5, windowMs: 3_600_000 },
      ];
      for (const spec of specs) {
        const one = charge(spec);
        for (let turn = 0; turn < 5; turn++) {
          const decide = turn % 2 ? wrong : backend;
          const [decision] = await decide.decide([{ charges: [one], mode: 'take' }]);
          expect(decision!.outcomes[0]).toMatchObject({ isAllowed: true, remaining: 4 - turn });
        }
        const [right] = await backend.decide([{ charges: [one], mode: 'take' }]);
        const [other] = await wrong.decide([{ charges: [one], mode: 'take' }]);
        expect([right!.isAllowed, other!.isAllowed]).toEqual([false, false]);
        const apartUs = right!.outcomes[0]!.retryAfterUs - other!.outcomes[0]!.retryAfterUs;
        expect(Math.abs(apartUs)).toBeLessThan(5_000_000);
      }
      await wrong.stop();
    },
  );

  test('what is asked in one turn shares scripts of 64 charges, and their order is kept', async () => {
    const [one, other] = [
      charge({ limit: 700, windowMs: 3_600_000 }),
      charge({ algorithm: 'fixed', limit: 9, windowMs: 3_600_000 }),
    ];
    const calls = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);
    const before = await calls();
    const decisions = await Promise.all(Array.from({ length: 640 }, () => take(one)));
    expect(decisions.map(({ outcomes }) => outcomes[0]!.remaining)).toEqual(decisions.map((_, at) => 699 - at));
    expect((await calls()) - before).toBe(10);
    const wide = Array.from({ length: 100 }, () => charge({ limit: 1, windowMs: 3_600_000 }));
    const mixed = await Promise.all([take(one), take(one, other), take(...wide), take(...wide), take(one)]);
    expect(mixed.map(({ isAllowed }) => isAllowed)).toEqual([true, true, true, false, true]);
    expect(mixed[4]!.outcomes[0]!.remaining).toBe(57);
  });

  test('says how it stands in numbers', () => {
    expect(backend.metrics()).toContain('plinth_ratelimit_redis_ready 1\n');
    expect(backend.metrics()).toContain('plinth_ratelimit_redis_unanswered 0\n');
  });

  test('replicas count each other, and one that stops is counted no more', async () => {
    const others = [await opened({ prefix: 'count' }), await opened({ prefix: 'count' })];
    await eventually(() => others[1]!.replicas() === 2);
    await others[0]!.stop();
    await eventually(() => others[1]!.replicas() === 1);
    await others[1]!.stop();
  });

  test('no address is no backend, and no connection is BackendAway at once', async () => {
    expect(() => new RedisBackend({ url: 'http://127.0.0.1:1' })).toThrow(RangeError);
    const nobody = new RedisBackend({ url: 'redis://127.0.0.1:1' });
    await expect(nobody.decide([{ charges: [charge({ limit: 1, windowMs: 1_000 })], mode: 'take' }])).rejects.toThrow(
      BackendAway,
    );
    await eventually(() => nobody.notReady()?.includes('ECONNREFUSED') ?? false);
    await nobody.stop();
  });

  test('a wrong password is said as it is, and the right one lets in', async () => {
    await client.config('SET', 'requirepass', 'geheim:/@');
    await client.auth('geheim:/@');
    const wrong = new RedisBackend({ url: redis.url, password: 'falsch' });
    await eventually(() => /WRONGPASS|NOAUTH/.test(wrong.notReady() ?? ''));
    await wrong.stop();
    const right = await opened({ url: redis.url.replace('//', `//:${encodeURIComponent('geheim:/@')}@`) });
    await right.stop();
    await client.config('SET', 'requirepass', '');
  });
});
