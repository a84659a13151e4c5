/** What applications use, against the real service: over HTTP and over the bus, and when it freezes or dies. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bus, connectBus } from '@plinth/bus';
import { createRateLimiter, type RateLimiter, type RateLimiterOptions } from '@plinth/rate-limit';
import { eventually, withNats } from '@plinth/testkit';
import { type RatelimitProcess, startRatelimit } from './ratelimit-process.ts';

const RULES = `
domain: shop
rules:
  - {name: few, match: {few: "*"}, limit: 3, window: 1h}
  - {name: wide, match: {wide: "*"}, limit: 100000, window: 24h, lease: 0.1}
  - {name: hot, match: {hot: "*"}, limit: 1000000, window: 1s, lease: 0.1}
  - {name: slots, match: {slots: "*"}, limit: 1, algorithm: concurrency, hold: 10s}
`;

const nats = withNats();
const silent = { info() {}, warn() {}, error() {} };
let service: RatelimitProcess;
let bus: Bus;

beforeAll(async () => {
  service = await startRatelimit(RULES, { NATS_URL: nats.url });
  bus = await connectBus({ url: nats.url, name: 'shop', log: silent });
}, 120_000);
afterAll(() => bus?.close());

const limiters: RateLimiter[] = [];
afterEach(async () => {
  await Promise.all(limiters.splice(0).map((limiter) => limiter.close()));
});

type Common = Partial<Extract<RateLimiterOptions, { url: string }>>;
const WAYS = ['HTTP', 'the bus'] as const;
function limiterBy(way: (typeof WAYS)[number], options: Common = {}): RateLimiter {
  const { url = service.url, ...rest } = options;
  const common = { domain: 'shop', timeoutMs: 5_000, ...rest };
  const limiter = createRateLimiter(way === 'HTTP' ? { ...common, url } : { ...common, bus });
  limiters.push(limiter);
  return limiter;
}

/** Takes for so long, and so often at least. */
async function spend(
  limiter: RateLimiter,
  { limit, key, forMs, least = 0 }: { limit: string; key: string; forMs: number; least?: number },
) {
  const untilMs = performance.now() + forMs;
  let allowed = 0;
  let denied = 0;
  while (performance.now() < untilMs || allowed + denied < least) {
    for (let at = 0; at < 10; at++) {
      const answer = limiter.take(limit, key);
      if ((answer instanceof Promise ? await answer : answer).allowed) allowed++;
      else denied++;
    }
    await sleep(1);
  }
  return { allowed, denied };
}

/** The most units of `wide` that can have come back by themselves since then: 100,000 a day is 1.2 a second. */
const cameBack = (startMs: number) => Math.floor(((performance.now() - startMs) * 100_000) / 86_400_000);

describe.each(WAYS)('by %s', (way) => {
  test('a limit is taken by its name until there is nothing left, and a denial is believed', async () => {
    const limiter = limiterBy(way);
    const key = `taken by ${way}`;
    const answers: boolean[] = [];
    for (let at = 0; at < 4; at++) answers.push((await limiter.take('few', key)).allowed);
    expect(answers).toEqual([true, true, true, false]);
    const again = limiter.take('few', key);
    expect(again).toMatchObject({ allowed: false, violated: ['few'], limits: [{ name: 'few', limit: 3 }] });
  });

  test('descriptors, limits that are said, many checks at once', async () => {
    const limiter = limiterBy(way);
    const key = `described by ${way}`;
    const answers = await limiter.check([
      { descriptors: [{ few: key }], cost: 3 },
      { descriptors: [{ few: key }, { wide: key }] },
      { limit: { limit: 1, windowMs: 60_000 }, key },
      { limit: { limit: 1, windowMs: 60_000 }, key },
      { descriptors: [{ nobody: 'limits this' }] },
    ]);
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, false, true, false, true]);
    expect(answers[1]!.violated).toEqual(['few']);
  });

  test('peek, refund, block and reset', async () => {
    const limiter = limiterBy(way);
    const subject = { limit: 'few', key: `changed by ${way}` };
    const left = async () => (await limiter.peek({ ...subject, cost: 0 })).limits[0]!.remaining;
    await limiter.take(subject.limit, subject.key, 3);
    await limiter.refund({ ...subject, cost: 2 });
    expect(await left()).toBe(2);
    await limiter.block({ ...subject, forMs: 60_000 });
    expect((await limiter.take(subject.limit, subject.key)).limits[0]).toMatchObject({ because: 'blocked' });
    await limiter.reset(subject);
    expect(await left()).toBe(3);
  });

  test('a reservation is settled with what it cost', async () => {
    const limiter = limiterBy(way);
    const subject = { limit: 'wide', key: `reserved by ${way}` };
    const startMs = performance.now();
    const { reservation } = await limiter.check({ ...subject, cost: 50, reserveMs: 60_000 });
    await limiter.report({ reservation: reservation!, cost: 20 });
    const { remaining } = (await limiter.peek({ ...subject, cost: 0 })).limits[0]!;
    expect(remaining).toBeGreaterThanOrEqual(100_000 - 20);
    expect(remaining).toBeLessThanOrEqual(100_000 - 20 + cameBack(startMs));
  });

  test('a place is held, kept and freed', async () => {
    const limiter = limiterBy(way);
    const check = { descriptors: [{ slots: `held by ${way}` }] };
    const place = await limiter.acquire(check);
    expect([place.answer.allowed, place.expiresInMs]).toEqual([true, 10_000]);
    const denied = await limiter.acquire(check);
    expect([denied.answer.allowed, denied.expiresInMs]).toEqual([false, undefined]);
    await denied.release();
    await place.keep();
    await place.release();
    await place.release();
    const next = await limiter.acquire(check);
    expect(next.answer.allowed).toBe(true);
    await next.release();
  });

  test('a hot key is decided by leases, and what is left of them is given back to the last unit', async () => {
    const limiter = limiterBy(way, { leases: { ttlMs: 10_000 } });
    const key = `leased by ${way}`;
    const startMs = performance.now();
    const { allowed, denied } = await spend(limiter, { limit: 'wide', key, forMs: 600, least: 1_000 });
    const { byLease, unitsLost } = limiter.counts;
    await limiter.close();
    const [left] = (await limiterBy(way).peek({ limit: 'wide', key, cost: 0 })).limits;
    process.stderr.write(`by ${way}: ${allowed} decisions, ${byLease} of them by lease\n`);
    expect([denied, unitsLost]).toEqual([0, 0]);
    expect(byLease).toBeGreaterThan(0.8 * allowed);
    expect(left!.remaining! - (100_000 - allowed)).toBeGreaterThanOrEqual(0);
    expect(left!.remaining! - (100_000 - allowed)).toBeLessThanOrEqual(2 + cameBack(startMs));
  });

  test('a limit that is not there is told as such', async () => {
    await expect(limiterBy(way).take('nowhere', 'a')).rejects.toMatchObject({ code: 'limit_not_found' });
  });
});

describe('faults', () => {
  test('a frozen service costs a decision its deadline and no more, denies nobody, and is found again', async () => {
    const limiter = limiterBy('HTTP', { timeoutMs: 50, leases: {} });
    await spend(limiter, { limit: 'hot', key: 'frozen', forMs: 300 });
    process.kill(service.pid, 'SIGSTOP');
    const tookMs: number[] = [];
    // What the machine does to any timer of that time, for it may be busy.
    const bareMs: number[] = [];
    const wait = async () => {
      const startedMs = performance.now();
      await sleep(50);
      bareMs.push(performance.now() - startedMs);
    };
    let denied = 0;
    try {
      const untilMs = performance.now() + 3_000;
      while (performance.now() < untilMs) {
        void wait();
        const startedMs = performance.now();
        const answers = await Promise.all(Array.from({ length: 20 }, (_, at) => limiter.take('hot', `key-${at}`)));
        tookMs.push(performance.now() - startedMs);
        denied += answers.filter(({ allowed }) => !allowed).length;
        await sleep(5);
      }
    } finally {
      process.kill(service.pid, 'SIGCONT');
    }
    const quantile = (ms: number[], part: number) => ms.toSorted((a, b) => a - b)[Math.floor(ms.length * part)]!;
    const [p50, p99, bareP99] = [quantile(tookMs, 0.5), quantile(tookMs, 0.99), quantile(bareMs, 0.99)];
    process.stderr.write(
      `frozen: ${tookMs.length} rounds, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms; of a bare timer ${bareP99.toFixed(1)} ms\n`,
    );
    expect(denied).toBe(0);
    expect(p99).toBeLessThan(bareP99 + 50);
    await eventually(async () => (await limiter.take('hot', 'again')).degraded === undefined, { timeoutMs: 30_000 });
  }, 90_000);

  test('a service that is killed and started again is no error for anybody who asks', async () => {
    const limiter = limiterBy('HTTP', { timeoutMs: 50, leases: {} });
    let isOver = false;
    const asking = (async () => {
      let denied = 0;
      let degraded = 0;
      for (let at = 0; !isOver; at++) {
        const answer = await limiter.take('hot', `key-${at % 10}`);
        if (!answer.allowed) denied++;
        if (answer.degraded !== undefined) degraded++;
        await sleep(2);
      }
      return { denied, degraded };
    })();
    await sleep(200);
    await service.kill();
    await sleep(500);
    await service.start();
    await eventually(async () => (await limiter.take('few', 'again')).degraded === undefined, { timeoutMs: 30_000 });
    isOver = true;
    const { denied, degraded } = await asking;
    expect(denied).toBe(0);
    expect(degraded).toBeGreaterThan(0);
  }, 120_000);
});
