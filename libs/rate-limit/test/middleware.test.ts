import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '@plinth/testkit';
import makeExpress, { type Request as ExpressRequest } from 'express';
import {
  byAddress,
  byApiKey,
  byHeader,
  createRateLimiter,
  express,
  fetchHandler,
  firstOf,
  type LimitedRequest,
  nodeHttp,
  type RateLimiter,
} from '../src/rate-limit.ts';
import { LimitsServer } from './limits-server.ts';

const MINUTE = { limit: 2, windowMs: 60_000 };
const closes: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

const localLimiter = () => createRateLimiter({ local: MINUTE });

async function serve(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closes.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function limitsServer(): Promise<LimitsServer> {
  const server = await LimitsServer.start({ rules: { login: MINUTE, tokens: { limit: 100, windowMs: 60_000 } } });
  closes.push(() => server.kill());
  return server;
}

const get = (url: string, headers: Record<string, string> = {}) => fetch(url, { headers });
const statuses = async (url: string, times: number, headers: Record<string, string> = {}) => {
  const found: number[] = [];
  for (let at = 0; at < times; at++) found.push((await get(url, headers)).status);
  return found;
};

/** The same promises for each kind of server. */
const KINDS: Record<string, (limiter: RateLimiter, options?: object) => Promise<string>> = {
  express: (limiter, options) => {
    const app = makeExpress();
    app.use(express({ limiter, limit: 'api', ...options }));
    app.get('/', (_, response) => void response.send('hello'));
    return serve(app);
  },
  'node:http': (limiter, options) =>
    serve(nodeHttp({ limiter, limit: 'api', ...options }, (_, response) => void response.end('hello'))),
  fetch: async (limiter, options) => {
    const handle = fetchHandler<[string]>(
      { limiter, limit: 'api', peer: (_, peer) => peer, ...options },
      () => new Response('hello'),
    );
    return serve(async (request, response) => {
      const asked = new Request(`http://x${request.url}`, { headers: request.headers as Record<string, string> });
      const answer = await handle(asked, request.socket.remoteAddress!);
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text());
    });
  },
};

describe.each(Object.keys(KINDS))('%s', (kind) => {
  const start = KINDS[kind]!;

  test('lets in what the limit allows, then answers 429 as problem+json; headers are on all answers', async () => {
    const url = await start(localLimiter());
    const first = await get(url);
    expect([first.status, await first.text()]).toEqual([200, 'hello']);
    expect(first.headers.get('ratelimit-policy')).toBe('"api";q=2;w=60');
    expect(first.headers.get('ratelimit')).toBe('"api";r=1;t=30');
    expect(first.headers.has('retry-after')).toBe(false);
    await get(url);
    const third = await get(url);
    expect(third.status).toBe(429);
    expect(third.headers.get('content-type')).toBe('application/problem+json');
    expect(third.headers.get('ratelimit')).toBe('"api";r=0;t=30');
    expect(third.headers.get('retry-after')).toBe('30');
    expect(await third.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      code: 'rate_limited',
      'violated-policies': ['api'],
    });
  });

  test('a caller cannot choose his address, unless behind a proxy that is trusted', async () => {
    const spoof = (at: number) => ({ 'x-forwarded-for': `6.6.6.${at}` });
    const plain = await start(localLimiter());
    const found = [0, 1, 2].map(async (at) => (await get(plain, spoof(at))).status);
    expect((await Promise.all(found)).sort()).toEqual([200, 200, 429]);
    const behind = await start(localLimiter(), { key: byAddress({ trust: ['loopback'] }) });
    expect(await Promise.all([0, 1, 2].map(async (at) => (await get(behind, spoof(at))).status))).toEqual([
      200, 200, 200,
    ]);
  });

  test('an API key is limited by itself; without one it is the address', async () => {
    const url = await start(localLimiter(), { key: byApiKey() });
    expect(await statuses(url, 3, { 'api-key': 'a' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 1, { authorization: 'Bearer a' })).toEqual([429]);
    expect(await statuses(url, 1, { authorization: 'Bearer b' })).toEqual([200]);
    expect(await statuses(url, 3)).toEqual([200, 200, 429]);
  });

  test('a key from a header is no address, and the longest header is a key', async () => {
    const url = await start(localLimiter(), { key: firstOf(byHeader('X-User'), byHeader('x-team')) });
    expect(await statuses(url, 3, { 'x-user': '127.0.0.1' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 3)).toEqual([200, 200, 429]);
    expect(await statuses(url, 3, { 'x-team': 'y'.repeat(8_000) })).toEqual([200, 200, 429]);
    expect(await statuses(url, 1, { 'x-team': 'y'.repeat(8_001) })).toEqual([200]);
  });

  test('skip and cost are asked for each request', async () => {
    const url = await start(localLimiter(), { skip: () => false, cost: () => 2 });
    expect(await statuses(url, 2)).toEqual([200, 429]);
    const open = await start(localLimiter(), { skip: async () => true });
    expect(await statuses(open, 5)).toEqual(Array(5).fill(200));
    expect((await get(open)).headers.has('ratelimit')).toBe(false);
  });

  test('headers come in the style that is asked for, and say whose they are', async () => {
    const old = await get(await start(localLimiter(), { headers: 'x' }));
    expect(old.headers.get('x-ratelimit-remaining')).toBe('1');
    const none = await get(await start(localLimiter(), { headers: 'none' }));
    expect([...none.headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
    const keyed = await get(await start(localLimiter(), { partitionSecret: 's' }));
    expect(keyed.headers.get('ratelimit')).toMatch(/^"api";r=1;t=30;pk=:[A-Za-z0-9+/]{16}:$/);
  });

  test.each(['hangs', 'resets', 'overloaded', 'limits us', 'forbids'] as const)(
    'a limiter that %s is no reason to deny: open lets in, closed answers 503',
    async (mood) => {
      const server = await limitsServer();
      server.mood = mood;
      for (const [onError, status] of [
        ['open', 200],
        ['closed', 503],
      ] as const) {
        const limiter = createRateLimiter({ url: server.url, timeoutMs: 50, onError });
        closes.push(() => limiter.close());
        const told: string[] = [];
        const url = await start(limiter, { onFault: (problem: { code: string }) => told.push(problem.code) });
        expect(await statuses(url, 4)).toEqual(Array(4).fill(status));
        expect(new Set(told)).toEqual(new Set(mood === 'forbids' ? ['forbidden'] : []));
      }
    },
  );

  test('only failures count: who succeeds is never denied, who fails is after two', async () => {
    const limiter = localLimiter();
    const isFailure = () => false;
    const well = await start(limiter, { count: 'failed' });
    for (let at = 0; at < 5; at++) {
      expect((await get(well)).status).toBe(200);
      // What is given back is given back behind the answer.
      await sleep(20);
    }
    const strict = await start(localLimiter(), { count: 'failed', isFailure: (status: number) => status === 200 });
    expect(await statuses(strict, 3)).toEqual([200, 200, 429]);
    const lenient = await start(localLimiter(), { count: 'failed', isFailure });
    expect((await get(lenient)).status).toBe(200);
  });

  test('a function of the options that throws is the program’s fault, and no 429', async () => {
    const url = await start(localLimiter(), {
      key: () => {
        throw new Error('a bug');
      },
    }).catch(() => '');
    // Ours to answer in Express and node:http; a fetch handler rejects, and its runtime answers.
    if (kind !== 'fetch') expect((await get(url)).status).toBe(500);
  });
});

describe('express', () => {
  test('a limit that makes wait has requests go on at their turns', async () => {
    const limiter = createRateLimiter({ local: { algorithm: 'leaky', limit: 10, windowMs: 1_000, burst: 5 } });
    const app = makeExpress();
    app.use(express({ limiter, limit: 'queue', key: () => 'k' }));
    app.get('/', (_, response) => void response.end());
    const url = await serve(app);
    const startedMs = performance.now();
    const tookMs = await Promise.all(
      [0, 1, 2, 3].map(async () => {
        expect((await get(url)).status).toBe(200);
        return performance.now() - startedMs;
      }),
    );
    expect(Math.max(...tookMs)).toBeGreaterThanOrEqual(290);
    expect(Math.min(...tookMs)).toBeLessThan(90);
  });

  test('says once that there seems to be a proxy that nobody named', async () => {
    const warnings: string[] = [];
    const { emitWarning } = process;
    process.emitWarning = (warning: string | Error) => void warnings.push(String(warning));
    closes.push(() => {
      process.emitWarning = emitWarning;
    });
    const url = await KINDS.express!(localLimiter());
    await statuses(url, 3, { 'x-forwarded-for': '6.6.6.6' });
    const named = await KINDS.express!(localLimiter(), { key: byAddress({ trust: ['loopback'] }) });
    await statuses(named, 3, { 'x-forwarded-for': '6.6.6.6' });
    expect(warnings).toEqual([expect.stringMatching(/^requests have X-Forwarded-For, and no proxy is trusted/)]);
  });

  test('keys that need a promise and keys that do not may be mixed', async () => {
    const key = firstOf<ExpressRequest>(
      async () => undefined,
      () => '',
      async (request) => request.get('x-a'),
      byHeader('x-b'),
    );
    const app = makeExpress();
    app.use(express({ limiter: localLimiter(), limit: 'api', key }));
    app.get('/', (_, response) => void response.end());
    const url = await serve(app);
    expect(await statuses(url, 3, { 'x-a': '1', 'x-b': '2' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 3, { 'x-b': '2' })).toEqual([200, 200, 429]);
    expect(await statuses(url, 3)).toEqual([200, 200, 429]);
  });

  test('a permit on the request settles what it really cost', async () => {
    const server = await limitsServer();
    const limiter = createRateLimiter({ url: server.url, timeoutMs: 5_000 });
    closes.push(() => limiter.close());
    const app = makeExpress();
    const used = [30, 80, 0];
    const left = async () => (await limiter.peek({ limit: 'tokens', key: 'k', cost: 0 })).limits[0]!.remaining;
    app.use(express({ limiter, limit: 'tokens', key: () => 'k', cost: () => 50, reserveMs: 60_000 }));
    app.get('/', (request, response) => {
      (request as LimitedRequest).rateLimit!.settle(used.shift()!);
      (request as LimitedRequest).rateLimit!.settle(1);
      response.end();
    });
    const url = await serve(app);
    await get(url);
    await eventually(async () => expect(await left()).toBe(70));
    await get(url);
    // More than there was: a debt, so that nothing is left.
    await eventually(async () => expect(await left()).toBe(0));
    expect(server.asked('report')).toHaveLength(2);
    expect((await get(url)).status).toBe(429);
  });

  test('without a reservation the difference is given back or charged', async () => {
    const limiter = createRateLimiter({ local: { limit: 100, windowMs: 86_400_000 } });
    const app = makeExpress();
    const used = [3, 25];
    app.use(express({ limiter, limit: 'tokens', key: () => 'k', cost: 10 }));
    app.get('/', (request, response) => {
      (request as LimitedRequest).rateLimit!.settle(used.shift()!);
      response.end();
    });
    const url = await serve(app);
    await statuses(url, 2);
    expect((await limiter.peek({ limit: 'tokens', key: 'k', cost: 0 })).limits[0]!.remaining).toBe(72);
    expect(() => limiter.take('tokens', 'k', -1)).toThrow(RangeError);
  });

  test('a request that was denied, or let in without the service, has nothing to give back', async () => {
    const limiter = createRateLimiter({ local: { limit: 2, windowMs: 86_400_000 } });
    const app = makeExpress();
    const onLimited: Parameters<typeof express>[0]['onLimited'] = (_, response, __, permit) => {
      permit.settle(0);
      response.status(429).end();
    };
    app.use(express({ limiter, limit: 'a', key: () => 'k', cost: 2, onLimited }));
    app.get('/', (_, response) => void response.end());
    expect(await statuses(await serve(app), 3)).toEqual([200, 429, 429]);

    const server = await limitsServer();
    server.mood = 'overloaded';
    const away = createRateLimiter({ url: server.url, timeoutMs: 5_000 });
    closes.push(() => away.close());
    const other = makeExpress();
    other.use(express({ limiter: away, limit: 'login', key: () => 'k', count: 'failed' }));
    other.get('/', (_, response) => void response.end());
    expect(await statuses(await serve(other), 2)).toEqual([200, 200]);
    await sleep(30);
    expect(server.asked('refund')).toEqual([]);
  });

  test('onLimited answers by itself, or lets in all the same', async () => {
    const app = makeExpress();
    const limiter = localLimiter();
    const seen: (string | undefined)[] = [];
    app.use(
      express({
        limiter,
        limit: 'api',
        key: (request: ExpressRequest) => request.query.user as string,
        onLimited: (request, response, next, { answer }) => {
          seen.push(answer.violated?.[0]);
          if (request.query.user === 'friend') next();
          else response.status(418).end();
        },
      }),
    );
    app.get('/', (_, response) => void response.end());
    const url = await serve(app);
    expect(await statuses(`${url}/?user=friend`, 4)).toEqual([200, 200, 200, 200]);
    expect(await statuses(`${url}/?user=other`, 3)).toEqual([200, 200, 418]);
    expect(seen).toEqual(['api', 'api', 'api']);
  });

  test('calls next in the same turn when the limiter answers at once', () => {
    const middleware = express({ limiter: localLimiter(), limit: 'api', key: () => 'k' });
    const response = { setHeader() {}, headersSent: false };
    let isNext = false;
    middleware({ headers: {}, socket: {} } as never, response as never, () => {
      isNext = true;
    });
    expect(isNext).toBe(true);
  });

  test('a guess whose caller leaves before the answer counts as failed', async () => {
    const limiter = localLimiter();
    const app = makeExpress();
    app.use(express({ limiter, limit: 'login', key: () => 'k', count: 'failed' }));
    app.get('/', async (_, response) => {
      await sleep(100);
      response.end();
    });
    const url = await serve(app);
    for (let at = 0; at < 2; at++) {
      await expect(fetch(url, { signal: AbortSignal.timeout(30) })).rejects.toThrow();
    }
    await sleep(150);
    expect((await get(url)).status).toBe(429);
  });
});

describe('a fetch handler', () => {
  test('gives answers that cannot be changed their headers too', async () => {
    const handle = fetchHandler({ limiter: localLimiter(), limit: 'api', key: () => 'k' }, () =>
      Response.redirect('http://x/y', 302),
    );
    const answer = await handle(new Request('http://x/'));
    expect([answer.status, answer.headers.get('location'), answer.headers.get('ratelimit')]).toEqual([
      302,
      'http://x/y',
      '"api";r=1;t=30',
    ]);
  });

  test('without an address or a key is refused at the start', () => {
    expect(() => fetchHandler({ limiter: localLimiter(), limit: 'api' }, () => new Response())).toThrow(
      'a Request does not know its address: say where it is found with `peer`, or limit by a `key`',
    );
  });
});

test.each<[object, string]>([
  [{ limit: '' }, 'limit is missing: the name of a rule, or a limit'],
  [{ limit: 'a', count: 'some' }, 'count is "some"; it is all or failed'],
  [{ limit: 'a', cost: -1 }, 'cost is -1; it is a whole number from 0'],
])('options that mean nothing are refused at the start: %j', (options, words) => {
  expect(() => express({ limiter: localLimiter(), ...options } as never)).toThrow(new RangeError(words));
});
