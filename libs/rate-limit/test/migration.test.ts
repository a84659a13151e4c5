import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import makeExpress from 'express';
import { rateLimit } from 'express-rate-limit';
import { createRateLimiter, ExpressRateLimitStore, FlexibleLimiter } from '../src/rate-limit.ts';
import { LimitsServer } from './limits-server.ts';

const closes: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closes.splice(0).reverse()) await close();
});

describe('a store of express-rate-limit', () => {
  async function serve(store: ExpressRateLimitStore, options: object = {}): Promise<string> {
    const app = makeExpress();
    app.use(rateLimit({ windowMs: 60_000, limit: 2, store, standardHeaders: 'draft-6', ...options }));
    app.get('/', (_, response) => void response.end());
    const server = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    closes.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const statusesOf = async (url: string, times: number) => {
    const found: number[] = [];
    for (let at = 0; at < times; at++) found.push((await fetch(url)).status);
    return found;
  };

  test('counts for all processes that have it, and each name by itself', async () => {
    const service = await LimitsServer.start({ rules: {} });
    closes.push(() => service.kill());
    const storeOf = (name: string) => {
      const limiter = createRateLimiter({ url: service.url, timeoutMs: 5_000 });
      closes.push(() => limiter.close());
      return new ExpressRateLimitStore({ limiter, name });
    };
    const [one, two, other] = [await serve(storeOf('api')), await serve(storeOf('api')), await serve(storeOf('other'))];
    expect(await statusesOf(one, 1)).toEqual([200]);
    expect(await statusesOf(two, 2)).toEqual([200, 429]);
    expect(await statusesOf(one, 1)).toEqual([429]);
    expect(await statusesOf(other, 2)).toEqual([200, 200]);
  });

  test('gives back, tells and resets', async () => {
    const store = new ExpressRateLimitStore({
      limiter: createRateLimiter({ local: { limit: 1, windowMs: 1 } }),
      name: 'a',
    });
    store.init({ windowMs: 60_000, limit: 3 });
    expect((await store.increment('k')).totalHits).toBe(1);
    expect((await store.increment('k')).totalHits).toBe(2);
    await store.decrement('k');
    expect((await store.get('k'))!.totalHits).toBe(1);
    for (let at = 0; at < 4; at++) await store.increment('k');
    const last = await store.increment('k');
    expect(last.totalHits).toBe(4);
    expect(last.resetTime!.getTime()).toBeGreaterThan(Date.now());
    await store.resetKey('k');
    expect((await store.get('k'))!.totalHits).toBe(0);
  });

  test('refuses a limit that only one process knows', () => {
    const store = new ExpressRateLimitStore({
      limiter: createRateLimiter({ local: { limit: 1, windowMs: 1 } }),
      name: 'a',
    });
    expect(() => store.init({ windowMs: 1, limit: () => 3 })).toThrow(
      'limit is a function; with this store it is a number',
    );
  });

  test('is no 429 when the service is away', async () => {
    const limiter = createRateLimiter({ url: 'http://127.0.0.1:1', onError: 'closed' });
    closes.push(() => limiter.close());
    const url = await serve(new ExpressRateLimitStore({ limiter, name: 'a' }));
    const [status] = await statusesOf(url, 1);
    expect(status).not.toBe(429);
    const open = createRateLimiter({ url: 'http://127.0.0.1:1' });
    closes.push(() => open.close());
    expect(await statusesOf(await serve(new ExpressRateLimitStore({ limiter: open, name: 'a' })), 4)).toEqual([
      200, 200, 200, 200,
    ]);
  });
});

test('the names of rate-limiter-flexible do what they do there', async () => {
  const service = await LimitsServer.start({ rules: {} });
  const limiter = createRateLimiter({ url: service.url, timeoutMs: 5_000 });
  closes.push(
    () => service.kill(),
    () => limiter.close(),
  );
  const flexible = new FlexibleLimiter({ limiter, points: 5, duration: 60 });
  expect(await flexible.get('k')).toBeNull();
  expect(await flexible.consume('k')).toMatchObject({ remainingPoints: 4, consumedPoints: 1, isFirstInDuration: true });
  expect(await flexible.consume('k', 2)).toMatchObject({
    remainingPoints: 2,
    consumedPoints: 3,
    isFirstInDuration: false,
  });
  expect(await flexible.penalty('k', 1)).toMatchObject({ remainingPoints: 1 });
  await expect(flexible.consume('k', 2)).rejects.toMatchObject({
    remainingPoints: 1,
    msBeforeNext: expect.any(Number),
  });
  await flexible.reward('k', 3);
  expect(await flexible.get('k')).toMatchObject({ consumedPoints: 1 });
  await flexible.block('k', 60);
  await expect(flexible.consume('k')).rejects.toMatchObject({ msBeforeNext: expect.any(Number) });
  expect(await flexible.delete('k')).toBe(true);
  expect(await flexible.get('k')).toBeNull();
  expect((await flexible.consume('k', 5)).remainingPoints).toBe(0);
});
