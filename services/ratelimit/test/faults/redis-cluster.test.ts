/** The battery on a Redis Cluster of three, and what happens there when requests and failures cross its nodes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Charge, policyOf } from '@plinth/limiter';
import { eventually } from '@plinth/testkit';
import { describeBackend } from '../../src/store/backend.contract.ts';
import { slotOf } from '../../src/store/redis/slot.ts';
import { RedisBackend } from '../../src/store/redis-backend.ts';
import { command, type RedisGroup, startCluster } from './redis-groups.ts';
import { startLoad, tell } from './redis-load.ts';

const MONTH_MS = 30 * 86_400_000;
const limited = (key: string, limit: number): Charge => ({
  key,
  policy: policyOf({ limit, windowMs: MONTH_MS }),
  cost: 1,
});

async function opened(url: string, commandTimeoutMs = 5_000): Promise<RedisBackend> {
  const backend = new RedisBackend({ url, commandTimeoutMs });
  // A node is connected to a moment after the cluster is known.
  await eventually(() => Promise.all([0, 1, 2].map((node) => left(backend, limited(keyOn(node), 1)))));
  return backend;
}

async function left(backend: RedisBackend, charge: Charge): Promise<number> {
  const [decision] = await backend.decide([{ charges: [{ ...charge, cost: 0 }], mode: 'look' }]);
  return decision!.outcomes[0]!.remaining;
}

describeBackend('Redis Cluster', async () => {
  const cluster = await startCluster();
  const backend = await opened(cluster.url);
  const stop = async () => {
    await backend.stop();
    await cluster.stop();
  };
  return { backend, stop };
});

describe('a Redis Cluster', () => {
  let cluster: RedisGroup;
  beforeAll(async () => {
    cluster = await startCluster();
  }, 60_000);
  afterAll(() => cluster.stop());

  test('has each key in the slot that we think it has', async () => {
    for (const key of ['rl:{a}', 'rl:{user:1}:h', 'rl:{ключ}', `rl:{${'x'.repeat(4_096)}}`, 'rl:{%7D}']) {
      expect(slotOf(key)).toBe(await command(cluster.engines[0]!.port, 'CLUSTER', 'KEYSLOT', key));
    }
  });

  test('nobody gets more than the limits of keys on three nodes, and what a denied request took is given back', async () => {
    const backend = await opened(cluster.url);
    const charges = [limited('wide-a', 100_000), limited('scarce', 500), limited('wide-b', 100_000)];
    const nodes = new Set(charges.map(({ key }) => Math.floor((slotOf(`rl:{${key}}`) * 3) / 16_384)));
    expect(nodes.size).toBeGreaterThan(1);
    const load = startLoad(backend, { charges: () => charges, callers: 24, pauseMs: 0 });
    await eventually(() => load.denied > 300, { timeoutMs: 20_000 });
    await load.stop();
    tell('three keys on a cluster, one of 500 units', load);
    expect([...load.reasons.keys()]).toEqual([]);
    expect(load.allowed).toBe(500);
    const remaining = await Promise.all(charges.map((charge) => left(backend, charge)));
    expect(remaining).toEqual([99_500, 0, 99_500]);
    await backend.stop();
  });

  test('follows a slot that moves to another node under load', async () => {
    const backend = await opened(cluster.url);
    const charge = limited('mover', 1_000);
    const slot = slotOf('rl:{mover}');
    const from = Math.floor((slot * 3) / 16_384);
    const [source, target] = [cluster.engines[from]!.port, cluster.engines[(from + 1) % 3]!.port];
    const [sourceId, targetId] = [await command(source, 'CLUSTER', 'MYID'), await command(target, 'CLUSTER', 'MYID')];
    const load = startLoad(backend, { charges: () => [charge], callers: 8, pauseMs: 1 });
    await eventually(() => load.allowed > 200);
    await command(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId));
    await command(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId));
    await command(source, 'MIGRATE', '127.0.0.1', target, 'rl:{mover}', 0, 1_000);
    await sleep(50);
    for (const { port } of cluster.engines) await command(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId));
    await eventually(() => load.denied > 100, { timeoutMs: 20_000 });
    await load.stop();
    tell('a slot that moves, limit 1,000', load);
    expect([...load.reasons.keys()]).toEqual([]);
    expect(load.allowed).toBe(1_000);
    await backend.stop();
  });

  test('of a node that is killed only its own keys are away, and they are back when it is', async () => {
    const backend = await opened(cluster.url, 100);
    const keys = [0, 1, 2].map((node) => keyOn(node));
    const loads = keys.map((key) =>
      startLoad(backend, { charges: () => [limited(key, 1_000_000)], callers: 4, pauseMs: 2 }),
    );
    await eventually(() => loads.every(({ allowed }) => allowed > 50));
    await cluster.engines[2]!.kill();
    await eventually(() => loads[2]!.away > 0);
    const before = loads.map(({ allowed }) => allowed);
    await sleep(1_500);
    for (const node of [0, 1]) expect(loads[node]!.allowed - before[node]!).toBeGreaterThan(50);
    expect(loads[2]!.allowed).toBe(before[2]);
    await cluster.engines[2]!.start();
    const startedMs = performance.now();
    await eventually(() => loads[2]!.allowed > before[2]! + 50, { timeoutMs: 20_000 });
    const backMs = Math.round(performance.now() - startedMs);
    await Promise.all(loads.map((load) => load.stop()));
    for (const [node, load] of loads.entries())
      tell(`node ${node} of a cluster whose node 2 is killed, back after ${backMs} ms`, load);
    await backend.stop();
  });
});

/** A key that lives on a node of three, wherever slots may have moved since: those of `mover` aside. */
function keyOn(node: number): string {
  for (let number = 0; ; number++) {
    const key = `n${number}`;
    if (Math.floor((slotOf(`rl:{${key}}`) * 3) / 16_384) === node && slotOf(`rl:{${key}}`) !== slotOf('rl:{mover}'))
      return key;
  }
}
