import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import { DoubleRelease, ForeignBlock, PoolExhausted, SharedBlockPool, UseAfterRelease } from './buffer-pool.ts';
import { numbersFrom } from './seeded.fixture.ts';
import type { HammerPlan } from './shared-hammer.fixture.ts';

const smallPool = () => SharedBlockPool.create({ blockBytes: 100, blocks: 3 });

describe('one thread', () => {
  test('no two held blocks share a byte, and the end is told with figures', () => {
    const pool = smallPool();
    const held = [pool.acquire(), pool.acquire(), pool.acquire()];
    for (const index of held) pool.bytes(index).fill(index + 1);
    for (const index of held) expect(pool.bytes(index).every((byte) => byte === index + 1)).toBe(true);
    expect(pool.bytes(0)).toHaveLength(100);
    expect(pool.tryAcquire()).toBe(-1);
    expect(() => pool.acquire()).toThrow(PoolExhausted);
    expect(() => pool.acquireSync({ timeoutMs: 5 })).toThrow(
      'no block was released within 5 ms: 3 of 3 blocks of 100 bytes are held',
    );
    pool.release(held[1]!);
    expect(pool.acquire()).toBe(held[1]);
    expect(pool.stats()).toMatchObject({ blocks: 3, inUse: 3, highWater: 3, acquired: 4, failed: 3, waits: 1 });
  });

  test('a second release, a use after release and numbers of no block are refused', () => {
    const pool = smallPool();
    const index = pool.acquire();
    pool.release(index);
    expect(() => pool.release(index)).toThrow(DoubleRelease);
    expect(() => pool.bytes(index)).toThrow(UseAfterRelease);
    for (const wrong of [-1, 3, 0.5, Number.NaN]) {
      expect(() => pool.release(wrong)).toThrow(`there is no block ${wrong}; the pool has 3`);
    }
    expect(pool.stats().inUse).toBe(0);
  });

  test('a block goes from owner to owner only by adoption', () => {
    const pool = smallPool();
    const other = SharedBlockPool.attach(pool.handle, 77);
    const index = pool.acquire();
    pool.bytes(index).write('hello');
    expect(() => other.release(index)).toThrow(ForeignBlock);
    expect(() => other.bytes(index)).toThrow(ForeignBlock);
    other.adopt(index, pool.owner);
    expect(other.bytes(index).toString('utf8', 0, 5)).toBe('hello');
    expect(() => pool.release(index)).toThrow(`block ${index} was released by ${pool.owner}, but 77 holds it`);
    expect(() => pool.adopt(index, pool.owner)).toThrow(ForeignBlock);
    other.release(index);
    expect(() => other.adopt(index, pool.owner)).toThrow('but it is free');
  });

  test.each([1, 64, 4096])('every block starts at a multiple of %i', (alignment) => {
    const pool = SharedBlockPool.create({ blockBytes: 33, blocks: 5, alignment });
    const starts = Array.from({ length: 5 }, () => pool.bytes(pool.acquire()).byteOffset % alignment);
    expect(starts).toEqual([0, 0, 0, 0, 0]);
  });

  test('what makes no sense is named', () => {
    expect(() => SharedBlockPool.create({ blockBytes: 0, blocks: 1 })).toThrow('blockBytes is 0');
    expect(() => SharedBlockPool.create({ blockBytes: 1, blocks: 0 })).toThrow('blocks is 0');
    expect(() => SharedBlockPool.attach({ memory: new SharedArrayBuffer(1000) })).toThrow(
      'not that of a SharedBlockPool',
    );
    expect(() => SharedBlockPool.attach(smallPool().handle, 0)).toThrow('owner is 0');
    expect(() => smallPool().reclaim(0)).toThrow('owner is 0');
  });
});

const FIXTURE = new URL('./shared-hammer.fixture.ts', import.meta.url);
const MAILBOXES = 4;

function hammer(pool: SharedBlockPool, witness: SharedArrayBuffer, plan: Partial<HammerPlan>): Worker {
  const workerData: HammerPlan = {
    handle: pool.handle,
    witness,
    mailboxes: MAILBOXES,
    seed: 0,
    rounds: 0,
    heldMax: 8,
    isVictim: false,
    ...plan,
  };
  return new Worker(FIXTURE, { workerData });
}

const witnessOf = (pool: SharedBlockPool) => new SharedArrayBuffer((pool.blocks + MAILBOXES) * 4);

/** Blocks still in a mailbox are held by threads that are gone. */
function emptyMailboxes(pool: SharedBlockPool, witness: Int32Array): number {
  let letters = 0;
  for (let box = pool.blocks; box < witness.length; box++) {
    const letter = witness[box]!;
    if (letter === 0) continue;
    pool.adopt((letter & 0xffff) - 1, letter >>> 16);
    pool.release((letter & 0xffff) - 1);
    letters++;
  }
  return letters;
}

describe('many threads', () => {
  // Few blocks and many threads: most calls meet another. 64: most find one at once.
  test.each([5, 64])(
    'no block of %i is ever held twice, and none is lost',
    async (blocks) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      const pool = SharedBlockPool.create({ blockBytes: 64, blocks });
      const memory = witnessOf(pool);
      const workers = [1, 2, 3, 4].map((who) => hammer(pool, memory, { seed: seed + who, rounds: 150_000 }));
      const told = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]));
      await Promise.all(workers.map((worker) => worker.terminate()));
      const sum = (name: string) => told.reduce((total, counts) => total + counts[name], 0);
      const letters = emptyMailboxes(pool, new Int32Array(memory));
      const story = {
        seed,
        faults: sum('faults'),
        lost: sum('sent') - sum('adopted') - letters,
        held: pool.stats().inUse,
      };
      expect(story).toEqual({ seed, faults: 0, lost: 0, held: 0 });
      expect(sum('acquired')).toBeGreaterThan(100_000);
      expect(sum('adopted')).toBeGreaterThan(100);
      if (blocks === 5) expect(sum('exhausted')).toBeGreaterThan(100);
      expect(pool.stats().highWater).toBeLessThanOrEqual(blocks);
    },
    30_000,
  );

  test('a thread killed at a random moment loses no block: all of its own come back, those of others stay', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = numbersFrom(seed);
    const pool = SharedBlockPool.create({ blockBytes: 64, blocks: 16 });
    const mine = [pool.acquire(), pool.acquire()];
    let reclaimed = 0;
    for (let round = 0; round < 12; round++) {
      const memory = witnessOf(pool);
      const victim = hammer(pool, memory, { seed: seed + round, isVictim: true, mailboxes: 0 });
      const owner = victim.threadId + 1;
      await once(victim, 'message');
      await sleep(random() * 10);
      await victim.terminate();
      const before = pool.stats().inUse;
      expect({ seed, freed: pool.reclaim(owner) }).toEqual({ seed, freed: before - 2 });
      reclaimed += before - 2;
      expect(pool.reclaim(owner)).toBe(0);
    }
    expect({ seed, mine: mine.map((index) => pool.ownerOf(index)) }).toEqual({ seed, mine: [pool.owner, pool.owner] });
    expect(reclaimed).toBeGreaterThan(0);
    expect(Array.from({ length: 14 }, () => pool.acquire())).toHaveLength(14);
    expect(pool.tryAcquire()).toBe(-1);
  }, 30_000);

  test('`reclaimAtExit` frees what a worker held when it ended, and wakes whoever waits', async () => {
    const pool = SharedBlockPool.create({ blockBytes: 64, blocks: 2 });
    const victim = hammer(pool, witnessOf(pool), { seed: 1, isVictim: true, mailboxes: 0 });
    pool.reclaimAtExit(victim);
    await once(victim, 'message');
    await victim.terminate();
    expect(pool.stats().inUse).toBe(0);
    expect(() => pool.reclaimAtExit(victim)).toThrow('ended already');
  });

  test('a thread that waits is woken by a release in another', async () => {
    const pool = SharedBlockPool.create({ blockBytes: 64, blocks: 1 });
    const index = pool.acquire();
    const code = `
      import { parentPort, workerData } from 'node:worker_threads';
      const { SharedBlockPool } = await import(workerData.door);
      const pool = SharedBlockPool.attach(workerData.handle);
      parentPort.postMessage('waits');
      const index = pool.acquireSync({ timeoutMs: 10_000 });
      parentPort.postMessage({ index, ...pool.stats() });`;
    const door = new URL('./buffer-pool.ts', import.meta.url).href;
    const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`);
    const worker = new Worker(url, { workerData: { door, handle: pool.handle } });
    await once(worker, 'message');
    await sleep(50);
    pool.release(index);
    const [told] = await once(worker, 'message');
    expect(told).toMatchObject({ index, acquired: 1, waits: 1 });
    await worker.terminate();
  });
});
