import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { eventually, freePort, seededRandom } from '@plinth/testkit';
import type { CheckAnswer } from '../src/rate-limit.ts';
import { createRateLimiter, type RateLimiter, type RateLimiterOptions } from '../src/rate-limit.ts';
import { LimitsServer } from './limits-server.ts';

const RULES = {
  few: { limit: 3, windowMs: 60_000 },
  one: { limit: 1, windowMs: 60_000 },
  quick: { limit: 10, windowMs: 1_000 },
  many: { limit: 1_000_000, windowMs: 1_000 },
};

let server: LimitsServer;
const limiters: RateLimiter[] = [];

type Options = Partial<Extract<RateLimiterOptions, { url: string }>>;
/** One that waits long, so that a busy machine decides nothing; tests of deadlines set their own. */
function limiterOf(options: Options = {}): RateLimiter {
  const made = createRateLimiter({ url: server.url, timeoutMs: 5_000, ...options });
  limiters.push(made);
  return made;
}

beforeEach(async () => {
  server = await LimitsServer.start({ rules: RULES });
});
afterEach(async () => {
  server.mood = 'well';
  await Promise.all(limiters.splice(0).map((made) => made.close()));
  await server.kill();
});

describe('a decision', () => {
  test('is the service’s: so many as the limit has, then none', async () => {
    const limiter = limiterOf();
    const answers: CheckAnswer[] = [];
    for (let at = 0; at < 5; at++) answers.push(await limiter.take('few', 'alice'));
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, true, false, false]);
    expect(answers[2]!.limits[0]).toMatchObject({ name: 'few', limit: 3, remaining: 0 });
    expect(answers[3]).toMatchObject({ violated: ['few'] });
    expect((await limiter.take('few', 'bob')).allowed).toBe(true);
  });

  test('of a limit of one is allowed once: cached or not', async () => {
    for (const denyMs of [0, 1_000]) {
      const limiter = limiterOf({ denyMs });
      const allowed: boolean[] = [];
      for (let at = 0; at < 3; at++) allowed.push((await limiter.take('one', `key-${denyMs}`)).allowed);
      expect(allowed).toEqual([true, false, false]);
    }
  });

  test('may be of a limit that is said with it, and of keys of several words', async () => {
    const limiter = limiterOf();
    const spec = { limit: 1, windowMs: 60_000 };
    expect((await limiter.take(spec, ['a', 'b'])).allowed).toBe(true);
    expect((await limiter.take(spec, ['ab', ''.padStart(1)])).allowed).toBe(true);
    expect((await limiter.take(spec, ['a', 'b'])).allowed).toBe(false);
  });

  test('of several requests comes in their order', async () => {
    const answers = await limiterOf().check([
      { limit: 'one', key: 'a' },
      { limit: 'one', key: 'a' },
      { limit: 'few', key: 'a', cost: 3 },
    ]);
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, false, true]);
    expect(server.seen).toHaveLength(1);
  });

  test('is sent with the domain, the headers and the key of the client', async () => {
    const limiter = limiterOf({ domain: 'shop', apiKey: 'secret', headers: { 'x-team': 'a' } });
    await limiter.take('few', 'alice', 2);
    expect(server.seen[0]).toMatchObject({
      body: { domain: 'shop', limit: 'few', key: 'alice', cost: 2 },
      headers: { authorization: 'Bearer secret', 'x-team': 'a' },
    });
  });

  test('peek, refund, report, reset and block do what they say', async () => {
    const limiter = limiterOf();
    const subject = { limit: 'few', key: 'alice' };
    const left = async () => (await limiter.peek({ ...subject, cost: 0 })).limits[0]!.remaining;
    await limiter.take('few', 'alice', 3);
    expect(await left()).toBe(0);
    await limiter.refund({ ...subject, cost: 2 });
    expect(await left()).toBe(2);
    await limiter.report({ ...subject, cost: 1 });
    expect(await left()).toBe(1);
    await limiter.block({ ...subject, forMs: 60_000 });
    expect((await limiter.take('few', 'alice')).limits[0]).toMatchObject({ allowed: false, because: 'blocked' });
    await limiter.reset(subject);
    expect(await left()).toBe(3);
    expect((await limiter.take('few', 'alice')).allowed).toBe(true);
  });
});

describe('what cannot be meant', () => {
  test('is refused before it is sent, and takes nothing', async () => {
    const limiter = limiterOf({ leases: {} });
    for (const cost of [-1, 0.5, Number.NaN, 2e9]) expect(() => limiter.take('few', 'a', cost)).toThrow(RangeError);
    expect(() => limiter.take('few', '')).toThrow(RangeError);
    await expect(limiter.check({ limit: 'few', key: 'x'.repeat(2_049) })).rejects.toThrow(RangeError);
    expect(server.seen).toEqual([]);
  });

  test('a limit that is not there is the caller’s own problem, and not that of those who ask in the same moment', async () => {
    const limiter = limiterOf();
    const asked = ['few', 'nowhere', 'few', 'one', 'nothing'].map((name) => limiter.take(name, 'a'));
    const settled = await Promise.allSettled(asked);
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect((settled[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'limit_not_found' });
    // Taken once, whatever was sent twice to find the culprits.
    expect((await limiter.peek({ limit: 'few', key: 'a', cost: 0 })).limits[0]!.remaining).toBe(1);
  });

  test('a key without permission is told to all at once, not looked for', async () => {
    server.mood = 'forbids';
    const limiter = limiterOf();
    const settled = await Promise.allSettled(Array.from({ length: 50 }, () => limiter.take('few', 'a')));
    for (const one of settled) expect((one as PromiseRejectedResult).reason).toMatchObject({ code: 'forbidden' });
    expect(server.seen).toHaveLength(1);
  });

  test.each<[Options, string]>([
    [{ timeoutMs: 0 }, 'timeoutMs is 0; it is a whole number from 1 to 60000'],
    [{ timeoutMs: 60_001 }, 'timeoutMs is 60001; it is a whole number from 1 to 60000'],
    [{ onError: 'maybe' as 'open' }, 'onError is "maybe"; it is open, closed or local'],
    [{ replicas: 0 }, 'replicas is 0; it is a whole number from 1 to 100000'],
    [{ leases: { share: 0 } }, 'leases.share is 0; it is more than 0 and at most 1'],
    [{ leases: { share: 1.01 } }, 'leases.share is 1.01; it is more than 0 and at most 1'],
    [{ leases: { ttlMs: 9 } }, 'leases.ttlMs is 9; it is a whole number from 10 to 60000'],
    [
      { onError: 'local', fallback: { limit: -1, windowMs: 1 } },
      'limit is -1; it is a whole number from 0 to 1,000,000,000',
    ],
  ])('the setting %j is refused', (options, words) => {
    expect(() => limiterOf(options)).toThrow(RangeError);
    expect(() => limiterOf(options)).toThrow(words.split(';')[0]!);
  });
});

describe('batches', () => {
  test('those who ask in one turn travel together, and one who asks alone goes alone', async () => {
    const limiter = limiterOf();
    await limiter.take('many', 'a');
    expect(server.seen.map(({ body }) => Array.isArray(body))).toEqual([false]);
    await Promise.all(Array.from({ length: 500 }, (_, at) => limiter.take('many', String(at))));
    expect(server.seen).toHaveLength(2);
    expect(server.checks).toHaveLength(501);
  });

  test('more than the service takes at once go in several, and each gets its own answer', async () => {
    const limiter = limiterOf();
    const answers = await Promise.all(
      Array.from({ length: 2_500 }, (_, at) => limiter.take('one', `key-${at % 1_250}`)),
    );
    expect(answers.map(({ allowed }) => allowed)).toEqual(Array.from({ length: 2_500 }, (_, at) => at < 1_250));
    expect(server.asked('check').map((body) => (body as []).length)).toEqual([1_000, 1_000, 500]);
  });

  test('who asks while nothing is under way does not wait for company', async () => {
    const limiter = limiterOf({ gatherMs: 1_000 });
    await limiter.take('many', 'a');
    const startedMs = performance.now();
    for (let at = 0; at < 5; at++) await limiter.take('many', 'a');
    expect(performance.now() - startedMs).toBeLessThan(900);
  });
});

describe('an abort', () => {
  const reason = new Error('gone');

  test('before asking sends nothing', async () => {
    await expect(limiterOf().take('few', 'a', 1, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(limiterOf().check({ limit: 'few', key: 'a' }, { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    expect(server.seen).toEqual([]);
  });

  test('while waiting rejects one and leaves the others', async () => {
    const limiter = limiterOf();
    const gone = new AbortController();
    const one = limiter.take('few', 'a', 1, { signal: gone.signal }) as Promise<CheckAnswer>;
    const other = limiter.take('few', 'b');
    gone.abort(reason);
    await expect(one).rejects.toBe(reason);
    expect((await other).allowed).toBe(true);
    // It had not been sent yet, and so it was not counted.
    expect(server.checks.map(({ key }) => key)).toEqual(['b']);
  });
});

describe('a denial', () => {
  test('is believed for as long as it holds: no request, no promise, the time that is left', async () => {
    const limiter = limiterOf();
    await limiter.take('few', 'a', 3);
    const first = await limiter.take('few', 'a');
    await sleep(30);
    const asked = server.checks.length;
    const again = limiter.take('few', 'a');
    expect(again).not.toBeInstanceOf(Promise);
    expect(again).toMatchObject({
      allowed: false,
      violated: ['few'],
      limits: [{ name: 'few', limit: 3, remaining: 0 }],
    });
    const told = again as CheckAnswer;
    expect(told.retryAfterMs).toBeLessThanOrEqual(first.retryAfterMs! - 20);
    expect(told.retryAfterMs).toBeGreaterThan(first.retryAfterMs! - 10_000);
    expect(server.checks).toHaveLength(asked);
    expect(limiter.counts.byDenial).toBe(1);
  });

  test('of much says nothing of less', async () => {
    const limiter = limiterOf();
    await limiter.take('few', 'a', 1);
    expect((await limiter.take('few', 'a', 3)).allowed).toBe(false);
    expect(limiter.take('few', 'a', 3)).not.toBeInstanceOf(Promise);
    expect((await limiter.take('few', 'a', 2)).allowed).toBe(true);
  });

  test('is asked for anew after denyMs, so that a reset by somebody else is seen', async () => {
    const limiter = limiterOf({ denyMs: 50 });
    await limiter.take('few', 'a', 3);
    expect((await limiter.take('few', 'a')).allowed).toBe(false);
    await limiterOf().reset({ limit: 'few', key: 'a' });
    expect(limiter.take('few', 'a')).not.toBeInstanceOf(Promise);
    await sleep(60);
    expect((await limiter.take('few', 'a')).allowed).toBe(true);
  });

  test('is never believed longer than it was told: with and without the cache the same are let in', async () => {
    const random = seededRandom();
    // Both ask the same service in turn about keys of their own: what one is told the other would have been told.
    const plain = limiterOf({ denyMs: 0 });
    const caching = limiterOf();
    let allowedPlain = 0;
    let allowedCaching = 0;
    for (let round = 0; round < 150; round++) {
      const cost = 1 + random.int(3);
      if ((await plain.take('quick', 'plain', cost)).allowed) allowedPlain += cost;
      if ((await caching.take('quick', 'caching', cost)).allowed) allowedCaching += cost;
      await sleep(random.int(12));
    }
    expect(caching.counts.byDenial).toBeGreaterThan(0);
    expect(Math.abs(allowedCaching - allowedPlain)).toBeLessThanOrEqual(0.15 * allowedPlain + 3);
  });
});

describe('while the service is away', () => {
  const AWAY = ['hangs', 'resets', 'overloaded', 'limits us'] as const;

  test.each(AWAY)('%s: open lets all in, marked, and denies nobody', async (mood) => {
    const limiter = limiterOf({ timeoutMs: 100 });
    server.mood = mood;
    for (let at = 0; at < 20; at++) {
      expect(await limiter.take('one', 'a')).toEqual({ allowed: true, limits: [], degraded: 'open' });
    }
    expect(limiter.counts).toMatchObject({ degraded: 20 });
  });

  test.each(AWAY)('%s: closed denies all, marked, with a time to come back', async (mood) => {
    const limiter = limiterOf({ timeoutMs: 100, onError: 'closed' });
    server.mood = mood;
    for (let at = 0; at < 20; at++) {
      expect(await limiter.take('many', 'a')).toEqual({
        allowed: false,
        limits: [],
        retryAfterMs: 1_000,
        degraded: 'closed',
      });
    }
  });

  test('nobody listens: the same, and a service that comes later is found', async () => {
    const port = await freePort();
    const limiter = limiterOf({ url: `http://127.0.0.1:${port}` });
    for (let at = 0; at < 5; at++) expect((await limiter.take('few', 'a')).degraded).toBe('open');
    const late = await LimitsServer.start({ rules: RULES }, port);
    const answer = await eventually(
      async () => {
        const told = await limiter.take('few', 'a');
        return told.degraded === undefined && told;
      },
      { timeoutMs: 5_000, intervalMs: 100 },
    );
    expect(answer.limits[0]).toMatchObject({ remaining: 2 });
    await limiter.close();
    await late.kill();
  });

  test('local decides over the share of the limits that the service named last', async () => {
    const limiter = limiterOf({ timeoutMs: 100, onError: 'local', replicas: 2 });
    await limiter.take('few', 'someone');
    await limiter.check({ descriptors: [{ user: 'x' }] }).catch(() => {});
    server.mood = 'hangs';
    const told: CheckAnswer[] = [];
    for (let at = 0; at < 8; at++) told.push(await limiter.take('few', 'a'));
    // Half of 3, rounded down.
    expect(told.map(({ allowed }) => allowed)).toEqual([true, ...Array(7).fill(false)]);
    expect(told.every(({ degraded }) => degraded === 'local')).toBe(true);
    expect(told[7]).toMatchObject({ violated: ['few'], limits: [{ name: 'few', limit: 1 }] });
    expect((await limiter.take('few', 'b')).allowed).toBe(true);
    // A limit that is none is nobody's fault now.
    expect((await limiter.take({ limit: -1 }, 'a')).degraded).toBe('open');
    // It never heard of this one.
    expect(await limiter.take('many', 'a')).toEqual({ allowed: true, limits: [], degraded: 'open' });
  });

  test('local with a limit of its own needs to have heard of nothing', async () => {
    const limiter = limiterOf({ timeoutMs: 100, onError: 'local', fallback: { limit: 2, windowMs: 60_000 } });
    server.mood = 'resets';
    const told: boolean[] = [];
    for (let at = 0; at < 3; at++) told.push((await limiter.take('anything', 'a')).allowed);
    expect(told).toEqual([true, true, false]);
  });

  test('after three failures nobody waits any more, and it is tried once a second', async () => {
    const log: string[] = [];
    const note = (level: string) => (msg: string) => void log.push(`${level}: ${msg}`);
    const limiter = limiterOf({ timeoutMs: 40, log: { info: note('info'), warn: note('warn') } });
    server.mood = 'hangs';
    for (let at = 0; at < 3; at++) expect(limiter.take('few', 'a')).toBeInstanceOf(Promise);
    await sleep(20);
    for (let at = 0; at < 2; at++) {
      const one = limiter.take('few', 'a');
      expect(one).toBeInstanceOf(Promise);
      await one;
    }
    const startedMs = performance.now();
    let waited = 0;
    let asked = 0;
    while (performance.now() - startedMs < 1_500) {
      const answer = limiter.take('few', 'a');
      asked++;
      if (answer instanceof Promise) {
        waited++;
        await answer;
      }
      await sleep(5);
    }
    expect(asked).toBeGreaterThan(100);
    // At most what it takes to open, and one or two that try.
    expect(waited).toBeLessThanOrEqual(4);
    server.mood = 'well';
    await eventually(async () => (await limiter.take('few', 'a')).degraded === undefined);
    expect(log).toEqual([
      'warn: the rate limiter is away; limits are decided without it',
      'info: the rate limiter is back',
    ]);
  });

  test('a hung service costs no decision more than its deadline, none of memory, and denies nobody', async () => {
    const limiter = limiterOf({ timeoutMs: 50, waitingMax: 200 });
    await limiter.take('many', 'warm');
    server.mood = 'hangs';
    const tookMs: number[] = [];
    // What the machine does to any timer of that time, for it may be busy.
    const bareMs: number[] = [];
    let denied = 0;
    const wait = async () => {
      const startedMs = performance.now();
      await sleep(50);
      bareMs.push(performance.now() - startedMs);
    };
    const decide = async (key: string) => {
      const startedMs = performance.now();
      const { allowed } = await limiter.take('many', key);
      tookMs.push(performance.now() - startedMs);
      if (!allowed) denied++;
    };
    const all: Promise<void>[] = [];
    const untilMs = performance.now() + 2_500;
    while (performance.now() < untilMs) {
      for (let at = 0; at < 50; at++) all.push(decide(`key-${at}`));
      all.push(wait());
      await sleep(10);
    }
    await Promise.all(all);
    const p99Of = (ms: number[]) => ms.toSorted((a, b) => a - b)[Math.floor(ms.length * 0.99)]!;
    const [p99, bareP99] = [p99Of(tookMs), p99Of(bareMs)];
    process.stderr.write(
      `a hung service: ${tookMs.length} decisions, p99 ${p99.toFixed(1)} ms; of a bare timer ${bareP99.toFixed(1)} ms\n`,
    );
    expect(denied).toBe(0);
    expect(p99).toBeLessThan(bareP99 + 10);
    expect(limiter.counts.degraded).toBe(tookMs.length);
    // Requests that hang were given up with their deadline: what was sent is what was tried.
    expect(server.seen.length).toBeLessThan(30);
  }, 20_000);

  test('more than may wait are decided at once', () => {
    server.mood = 'hangs';
    const limiter = limiterOf({ waitingMax: 3 });
    const answers = Array.from({ length: 5 }, () => limiter.take('few', 'a'));
    expect(answers.map((answer) => answer instanceof Promise)).toEqual([true, true, true, false, false]);
    expect(answers[4]).toMatchObject({ allowed: true, degraded: 'open' });
  });

  test('close tells those who wait, at once', async () => {
    server.mood = 'hangs';
    const limiter = limiterOf({ timeoutMs: 60_000 });
    const waiting = limiter.take('few', 'a');
    await sleep(20);
    await limiter.close();
    expect(await waiting).toMatchObject({ degraded: 'open' });
    expect(limiter.take('few', 'a')).toMatchObject({ degraded: 'open' });
  });

  test('calls that nobody’s request waits for throw, and open no circuit', async () => {
    server.mood = 'overloaded';
    const limiter = limiterOf();
    for (let at = 0; at < 5; at++) await expect(limiter.peek({ limit: 'few', key: 'a' })).rejects.toThrow(Problem);
    server.mood = 'well';
    expect((await limiter.take('few', 'a')).degraded).toBeUndefined();
  });
});
