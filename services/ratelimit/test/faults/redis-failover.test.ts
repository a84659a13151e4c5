/** A primary dies or is told to step down, and the sentinels make its replica the primary. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Charge, policyOf } from '@plinth/limiter';
import { eventually, startTestRedis } from '@plinth/testkit';
import { RedisBackend } from '../../src/store/redis-backend.ts';
import { command, type RedisGroup, startSentinels } from './redis-groups.ts';
import { startLoad, tell } from './redis-load.ts';
import { startName } from './redis-name.ts';

const LIMIT = 4_000;
const charge: Charge = { key: 'k', policy: policyOf({ limit: LIMIT, windowMs: 30 * 86_400_000 }), cost: 1 };
/** What a primary has answered that its replica had not heard of when it died: on one machine some milliseconds of it. */
const UNHEARD_MAX = LIMIT / 20;
/** Told to step down, it goes on answering until the sentinels have seen the new one: nearly as much as it has. */
const UNHEARD_MAX_PLANNED = LIMIT;

/** A replica that asks for a copy gets it without waiting for others. */
const AT_ONCE = { 'repl-diskless-sync-delay': '0' };

describe('Redis behind sentinels', () => {
  let group: RedisGroup;
  let backend: RedisBackend;
  beforeEach(async () => {
    group = await startSentinels();
    backend = new RedisBackend({ url: group.url, commandTimeoutMs: 100 });
    await eventually(() => backend.notReady() === undefined, { timeoutMs: 10_000 });
  }, 60_000);
  afterEach(async () => {
    await backend.stop();
    await group.stop();
  });

  async function throughFailover(what: string, unheardMax: number, fail: () => Promise<unknown>): Promise<void> {
    const load = startLoad(backend, { charges: () => [charge], callers: 8, pauseMs: 2 });
    await eventually(() => load.allowed > 1_000);
    await fail();
    await eventually(() => load.away > 0, { timeoutMs: 20_000, intervalMs: 1 });
    const failedMs = performance.now();
    await sleep(50);
    await eventually(() => load.decidedAtMs > failedMs + 50, { timeoutMs: 20_000, intervalMs: 1 });
    const backMs = Math.round(load.decidedAtMs - failedMs);
    await eventually(() => load.denied > 100, { timeoutMs: 30_000 });
    await load.stop();
    tell(
      `${what}, limit ${LIMIT}, deciding again after ${backMs} ms, ${load.allowed - LIMIT} more than the limit`,
      load,
    );
    expect(load.allowed).toBeLessThanOrEqual(LIMIT + unheardMax);
    expect(load.allowed).toBeGreaterThanOrEqual(LIMIT - load.unknown);
    expect(backMs).toBeLessThan(10_000);
  }

  test('its primary is killed under load: the limit goes on from the replica', async () => {
    await throughFailover('primary killed', UNHEARD_MAX, () => group.engines[0]!.kill());
  }, 90_000);

  test('its primary is told to step down under load: the limit goes on from the replica', async () => {
    const sentinel = Number(/:(\d+),/.exec(group.url)![1]);
    await throughFailover('planned failover', UNHEARD_MAX_PLANNED, () =>
      command(sentinel, 'SENTINEL', 'FAILOVER', 'limits'),
    );
  }, 90_000);
});

describe('Redis behind one name', () => {
  test('a primary that became a replica is left for the one that the name now leads to', async () => {
    const [old, next] = [await startTestRedis({ config: AT_ONCE }), await startTestRedis({ config: AT_ONCE })];
    await command(next.port, 'REPLICAOF', '127.0.0.1', old.port);
    const name = await startName(old.port);
    const backend = new RedisBackend({ url: `redis://127.0.0.1:${name.port}`, commandTimeoutMs: 1_000 });
    const take = async () => (await backend.decide([{ charges: [charge], mode: 'take' }]))[0]!.outcomes[0]!;
    await eventually(take);
    await eventually(async () => (await command(next.port, 'EXISTS', 'rl:{k}')) === 1);
    // Nobody cuts our connection: READONLY is all that tells.
    await command(next.port, 'REPLICAOF', 'NO', 'ONE');
    await command(old.port, 'REPLICAOF', '127.0.0.1', next.port);
    name.leadTo(next.port);
    await expect(take()).rejects.toThrow(/READONLY/);
    expect(await eventually(take)).toMatchObject({ isAllowed: true, remaining: LIMIT - 2 });
    await backend.stop();
    name.stop();
    await Promise.all([old.kill(), next.kill()]);
  }, 60_000);
});
