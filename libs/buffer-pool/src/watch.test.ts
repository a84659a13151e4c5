import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { BlockPool, DoubleRelease, type Leak, SlabPool, UseAfterRelease, WriteAfterRelease } from './buffer-pool.ts';

const watched = (onLeak?: (leak: Leak) => void) =>
  new BlockPool({ blockBytes: 32, blocksMax: 2, debug: true, ...(onLeak && { onLeak }) });

function takenHere(pool: BlockPool) {
  return pool.acquire();
}

describe('debug mode', () => {
  test('an old handle is not that of the next holder: every use of it is refused and tells who released', () => {
    const pool = watched();
    const old = takenHere(pool);
    old.release();
    const next = pool.acquire();
    expect(next).not.toBe(old);
    expect(() => old.bytes).toThrow(UseAfterRelease);
    expect(() => old.bytes).toThrow(
      /was used after its release\. Released:\n +at .*watch\.test\.ts.*Acquired:\n +at .*takenHere/s,
    );
    expect(() => old.retain()).toThrow(UseAfterRelease);
    expect(() => old.slice()).toThrow(UseAfterRelease);
    // Without debug this would have taken the block away from its next holder.
    expect(() => old.release()).toThrow(DoubleRelease);
    expect(next.uses).toBe(1);
    expect(pool.stats().inUse).toBe(1);
  });

  test('new and released memory is poisoned', () => {
    const pool = watched();
    const block = pool.acquire();
    expect(block.bytes.every((byte) => byte === 0xdb)).toBe(true);
    const { bytes } = block;
    bytes.fill(1);
    block.release();
    expect(bytes.every((byte) => byte === 0xdb)).toBe(true);
  });

  test('a write after the release is told at the next acquire, with who released, and costs no block', () => {
    const pool = watched();
    const block = takenHere(pool);
    const { bytes } = block;
    block.release();
    bytes[5] = 0;
    expect(() => pool.acquire()).toThrow(WriteAfterRelease);
    bytes[31] = 0;
    expect(() => pool.acquire()).toThrow(/byte 31 of a free block was written\. Released:\n.*watch\.test.*takenHere/s);
    expect(pool.stats().inUse).toBe(0);
    expect([pool.acquire(), pool.acquire()]).toHaveLength(2);
  });

  test('one who waits for the damaged block hears of it, and the releaser does not', async () => {
    const pool = new BlockPool({ blockBytes: 8, blocksMax: 1, debug: true });
    const block = pool.acquire();
    const { bytes } = block;
    const wait = pool.acquireLater();
    block.release();
    await wait.then((got) => got.release());
    bytes[0] = 0;
    await expect(pool.acquireLater()).rejects.toThrow(WriteAfterRelease);
    expect(pool.stats().inUse).toBe(0);
  });

  test('what is held is listed with since when and where it was acquired', () => {
    const pool = watched();
    const before = Date.now();
    const block = takenHere(pool);
    pool.acquire().release();
    const [leak, ...others] = pool.leaks();
    expect(others).toEqual([]);
    expect(leak).toMatchObject({ blockBytes: 32, isLost: false });
    expect(leak!.acquiredAt).toMatch(/takenHere/);
    expect(leak!.sinceMs).toBeGreaterThanOrEqual(before);
    block.release();
    expect(pool.leaks()).toEqual([]);
  });

  test('slices and retains keep a watched block as any other', () => {
    const pool = watched();
    const block = pool.acquire();
    const slice = block.slice(0, 4);
    block.release();
    expect(slice.bytes).toHaveLength(4);
    expect(pool.blockOf(slice.bytes)).toBe(block);
    slice.release();
    expect(pool.stats().inUse).toBe(0);
  });

  test('a handle that is forgotten is told once, and the block stays in the list as lost', async () => {
    const told: Leak[] = [];
    const pool = watched((leak) => told.push(leak));
    forget(pool);
    const kept = pool.acquire();
    const collect = garbageCollector();
    for (let tries = 0; tries < 100 && told.length === 0; tries++) {
      collect();
      await sleep(10);
    }
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ blockBytes: 32, isLost: true });
    expect(told[0]!.acquiredAt).toMatch(/forget/);
    expect(pool.leaks().map(({ isLost }) => isLost)).toEqual([true, false]);
    kept.release();
  });

  test('the classes of a slab pool are watched too', () => {
    const pool = new SlabPool({ bytesMax: 2 ** 20, debug: true });
    const block = pool.acquire(100);
    expect(pool.leaks()).toMatchObject([{ blockBytes: 128 }]);
    block.release();
    expect(() => block.release()).toThrow(DoubleRelease);
  });
});

function forget(pool: BlockPool): void {
  pool.acquire().bytes.fill(1);
}

function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
