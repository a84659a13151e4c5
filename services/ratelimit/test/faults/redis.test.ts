/** Redis is killed, frozen and made to forget its scripts while the limiter is asked all the time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Charge, policyOf } from '@plinth/limiter';
import { eventually, startTestRedis, type TestEngine } from '@plinth/testkit';
import { Redis } from 'ioredis';
import { BackendAway } from '../../src/store/backend.ts';
import { RedisBackend } from '../../src/store/redis-backend.ts';
import { quantile, startLoad, tell } from './redis-load.ts';
import { startName } from './redis-name.ts';

const STALL_MS = process.env.PLINTH_LONG === '1' ? 10_000 : 2_000;
/** A window so long that nothing comes back meanwhile. */
const MONTH_MS = 30 * 86_400_000;

describe('a Redis that fails', () => {
  let engine: TestEngine;
  let backend: RedisBackend;
  let states: string[];
  beforeEach(async () => {
    engine = await startTestRedis();
    states = [];
  });
  afterEach(async () => {
    await backend.stop();
    await engine.kill();
  });

  const open = async (commandTimeoutMs?: number, url = engine.url) => {
    backend = new RedisBackend({ url, commandTimeoutMs, onChange: (state) => states.push(state) });
    await eventually(() => backend.notReady() === undefined);
    // The first call brings the script along and is compiled on both sides.
    await eventually(() => decides());
  };
  const decides = () => backend.decide([{ charges: [limited('warm', 1)], mode: 'take' }]).then(Boolean);
  const limited = (key: string, limit: number): Charge => ({
    key,
    policy: policyOf({ limit, windowMs: MONTH_MS }),
    cost: 1,
  });

  test('killed and started again under load, it never admits more than the limit, and decides again by itself', async () => {
    await open();
    const charge = limited('k', 3_000);
    const load = startLoad(backend, { charges: () => [charge], callers: 16, pauseMs: 1 });
    await eventually(() => load.allowed > 500);
    await engine.kill();
    await eventually(() => backend.notReady() !== undefined);
    const allowedBefore = load.allowed;
    await sleep(300);
    expect(load.allowed).toBe(allowedBefore);
    expect(load.away).toBeGreaterThan(100);
    const startedMs = performance.now();
    await engine.start();
    await eventually(() => load.allowed > allowedBefore);
    const backMs = performance.now() - startedMs;
    await eventually(() => load.denied > 100, { timeoutMs: 20_000 });
    await load.stop();
    tell(`SIGKILL and restart, limit 3,000, back after ${Math.round(backMs)} ms`, load);
    expect(load.allowed).toBeLessThanOrEqual(3_000);
    // What was sent and not answered may have been counted, once: nothing else is missing.
    expect(load.unknown).toBeLessThan(300);
    expect(load.allowed).toBeGreaterThanOrEqual(3_000 - load.unknown);
    expect(backMs).toBeLessThan(2_000);
    expect(states).toContain('reconnecting');
  });

  test(`frozen for ${STALL_MS} ms, every caller is answered within 10 ms`, async () => {
    await open();
    const charge = limited('k', 1_000_000);
    const load = startLoad(backend, { charges: () => [charge], callers: 8, pauseMs: 2 });
    await eventually(() => load.allowed > 500);
    load.tookMs.length = 0;
    const awayBefore = load.away;
    process.kill(engine.pid, 'SIGSTOP');
    const lateMs = await timersLateMs(STALL_MS);
    const p99Ms = quantile(load.tookMs, 0.99);
    const mostMs = Math.max(...load.tookMs);
    process.kill(engine.pid, 'SIGCONT');
    const resumedMs = performance.now();
    await eventually(() => load.decidedAtMs > resumedMs, { timeoutMs: 5_000 });
    const backMs = load.decidedAtMs - resumedMs;
    await load.stop();
    tell(
      `SIGSTOP ${STALL_MS} ms, p99 ${p99Ms.toFixed(1)} ms (timers late by ${lateMs.toFixed(1)} ms), most ${mostMs.toFixed(1)} ms, back after ${Math.round(backMs)} ms`,
      load,
    );
    expect(load.away - awayBefore).toBeGreaterThan(STALL_MS / 10);
    // A machine with other work is late with every timer, ours included.
    expect(p99Ms - lateMs).toBeLessThan(10);
    expect(backMs).toBeLessThan(1_500);
    const reasons = [...load.reasons.keys()].join('; ');
    expect(reasons).toContain('did not answer within 5 ms');
  }, 60_000);

  test('made to forget its scripts under load, it admits exactly the limit and fails nobody', async () => {
    await open(5_000);
    const client = new Redis(engine.url);
    const paced = limited('paced', 2_000);
    const other = {
      ...limited('other', 1),
      policy: policyOf({ algorithm: 'strict', limit: 1_500, windowMs: MONTH_MS }),
    };
    const loads = [
      startLoad(backend, { charges: () => [paced], callers: 32, pauseMs: 0 }),
      startLoad(backend, { charges: () => [other], callers: 32, pauseMs: 0 }),
    ];
    let flushes = 0;
    while (loads.some(({ denied }) => denied < 100)) {
      await client.script('FLUSH');
      flushes++;
      await sleep(5);
    }
    await Promise.all(loads.map((load) => load.stop()));
    client.disconnect();
    for (const load of loads) tell(`${flushes} times SCRIPT FLUSH`, load);
    expect(loads.map(({ allowed, away }) => [allowed, away])).toEqual([
      [2_000, 0],
      [1_500, 0],
    ]);
    expect(flushes).toBeGreaterThan(5);
  });

  test('without memory for another key it says so, counts nothing, and goes on when there is some', async () => {
    await open(5_000);
    const client = new Redis(engine.url);
    await client.config('SET', 'maxmemory', '1');
    const [first, second] = [limited('first', 5), limited('second', 5)];
    await expect(backend.decide([{ charges: [first, second], mode: 'take' }])).rejects.toThrow(/Redis says: .*OOM/);
    await client.config('SET', 'maxmemory', '0');
    client.disconnect();
    const [decision] = await backend.decide([{ charges: [first, second], mode: 'take' }]);
    expect(decision!.outcomes.map(({ remaining }) => remaining)).toEqual([4, 4]);
  });

  test('a request whose answer is lost with the connection is counted once and not sent again', async () => {
    const name = await startName(engine.port);
    await open(200, `redis://127.0.0.1:${name.port}`);
    const charge = limited('lost', 10);
    const left = async () => {
      const [decision] = await backend.decide([{ charges: [{ ...charge, cost: 0 }], mode: 'look' }]);
      return decision!.outcomes[0]!.remaining;
    };
    expect(await left()).toBe(10);
    name.loseNextAnswer();
    await expect(backend.decide([{ charges: [charge], mode: 'take' }])).rejects.toThrow(BackendAway);
    expect(await eventually(left)).toBe(9);
    await sleep(300);
    expect(await left()).toBe(9);
    name.stop();
  });

  test('what it answers after the deadline is dropped, and counts once', async () => {
    await open(50);
    const charge = limited('late', 10);
    process.kill(engine.pid, 'SIGSTOP');
    const startedMs = performance.now();
    await expect(backend.decide([{ charges: [charge], mode: 'take' }])).rejects.toThrow('did not answer within 50 ms');
    expect(performance.now() - startedMs).toBeLessThan(150);
    process.kill(engine.pid, 'SIGCONT');
    await eventually(async () => {
      const [decision] = await backend.decide([{ charges: [{ ...charge, cost: 0 }], mode: 'look' }]);
      return decision!.outcomes[0]!.remaining === 9;
    });
  });
});

/** For so long, how late a plain timer of 5 ms is: of a hundred the latest, beyond the millisecond that any timer may be. */
async function timersLateMs(forMs: number): Promise<number> {
  const late: number[] = [];
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    const startedMs = performance.now();
    await sleep(5);
    late.push(performance.now() - startedMs - 6);
  }
  return Math.max(0, quantile(late, 0.99));
}
