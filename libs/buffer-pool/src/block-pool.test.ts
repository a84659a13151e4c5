import { MessageChannel } from 'node:worker_threads';
import { describe, expect, test } from '@jest/globals';
import { type Block, BlockPool, DoubleRelease, ForeignBlock, PoolExhausted, UseAfterRelease } from './buffer-pool.ts';
import { numbersFrom } from './seeded.fixture.ts';

const smallPool = (blocksMax = 4) => new BlockPool({ blockBytes: 100, blocksMax, blocksPerSlab: 2 });

describe('blocks', () => {
  test('no two held blocks share a byte', () => {
    const pool = smallPool();
    const held = [0, 1, 2, 3].map((at) => {
      const block = pool.acquire();
      block.bytes.fill(at);
      return block;
    });
    for (const [at, block] of held.entries()) {
      expect(block.bytes).toHaveLength(100);
      expect(block.bytes.every((byte) => byte === at)).toBe(true);
    }
  });

  test('the block released last is handed out first, the same handle and all', () => {
    const pool = smallPool();
    const [first, second] = [pool.acquire(), pool.acquire()];
    first.release();
    second.release();
    expect(pool.acquire()).toBe(second);
    expect(pool.acquire()).toBe(first);
  });

  test.each([1, 8, 64, 4096])('every block starts at a multiple of %i', (alignment) => {
    const pool = new BlockPool({ blockBytes: 33, blocksMax: 5, alignment });
    const starts = Array.from({ length: 5 }, () => pool.acquire().bytes.byteOffset);
    expect(starts.filter((start) => start % alignment !== 0)).toEqual([]);
  });

  test('shared: blocks lie in memory that other threads see', () => {
    const pool = new BlockPool({ blockBytes: 10, blocksMax: 1, shared: true });
    expect(pool.acquire().bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  test('a block that is transferred to another thread takes no other block with it', () => {
    const pool = smallPool();
    const [one, other] = [pool.acquire(), pool.acquire()];
    other.bytes.fill(7);
    const { port1, port2 } = new MessageChannel();
    // Newer versions of Node refuse, older ones send a copy.
    try {
      port1.postMessage(one.bytes, [one.bytes.buffer as ArrayBuffer]);
    } catch {}
    port1.close();
    port2.close();
    expect(other.bytes.every((byte) => byte === 7)).toBe(true);
    expect(other.bytes).toHaveLength(100);
  });
});

describe('the end of a pool', () => {
  test('the last block is given, the next call is refused with figures and takes nothing', () => {
    const pool = smallPool(3);
    const held = [pool.acquire(), pool.acquire(), pool.acquire()];
    expect(() => pool.acquire()).toThrow(
      new PoolExhausted('no block is free', { blockBytes: 100, blocksMax: 3, inUse: 3, waiting: 0 }),
    );
    expect(() => pool.acquire()).toThrow('no block is free: 3 of 3 blocks of 100 bytes are held, 0 callers wait');
    expect(pool.tryAcquire()).toBeUndefined();
    held[1]!.release();
    expect(pool.tryAcquire()).toBe(held[1]);
    expect(pool.stats()).toMatchObject({ blocks: 3, inUse: 3, highWater: 3, acquired: 4, failed: 3 });
  });

  test('memory that the system has not is an exhausted pool with its cause, and the pool goes on', () => {
    const pool = new BlockPool({ blockBytes: 2 ** 30, blocksMax: 2 ** 30, blocksPerSlab: 2 ** 30 });
    let error: unknown;
    try {
      pool.acquire();
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(PoolExhausted);
    expect((error as PoolExhausted).cause).toMatchObject({ name: 'RangeError' });
    expect(pool.stats()).toMatchObject({ blocks: 0, inUse: 0, bytes: 0 });
  });

  test.each([
    [{ blockBytes: 0, blocksMax: 1 }, 'blockBytes is 0; it must be an integer from 1 to 1073741824'],
    [{ blockBytes: 1.5, blocksMax: 1 }, 'blockBytes is 1.5'],
    [{ blockBytes: 1, blocksMax: 0 }, 'blocksMax is 0'],
    [{ blockBytes: 1, blocksMax: Number.NaN }, 'blocksMax is NaN'],
    [{ blockBytes: 1, blocksMax: 1, alignment: 24 }, 'alignment is 24; it must be a power of two'],
    [{ blockBytes: 1, blocksMax: 1, alignment: 8192 }, 'alignment is 8192; it must be an integer from 1 to 4096'],
    [{ blockBytes: 1, blocksMax: 1, blocksPerSlab: 0 }, 'blocksPerSlab is 0'],
    [{ blockBytes: 1, blocksMax: 1, waitersMax: -1 }, 'waitersMax is -1'],
  ])('options that make no sense are named: %j', (options, message) => {
    expect(() => new BlockPool(options)).toThrow(RangeError);
    expect(() => new BlockPool(options)).toThrow(message);
  });
});

describe('ownership', () => {
  test('a second release is refused and leaves the pool as it was', () => {
    const pool = smallPool();
    const block = pool.acquire();
    block.release();
    expect(() => block.release()).toThrow(DoubleRelease);
    expect(pool.stats()).toMatchObject({ inUse: 0 });
    expect(pool.acquire()).not.toBe(pool.acquire());
  });

  test('a retained block goes back with its last release, not before', () => {
    const pool = smallPool();
    const block = pool.acquire().retain().retain();
    block.release();
    block.release();
    expect(pool.stats().inUse).toBe(1);
    block.release();
    expect(pool.stats().inUse).toBe(0);
    expect(() => block.retain()).toThrow(UseAfterRelease);
    expect(() => block.slice(0, 1)).toThrow(UseAfterRelease);
  });

  test('a slice, and a slice of it, keep the block until each is released', () => {
    const pool = smallPool();
    const block = pool.acquire();
    block.bytes.write('hello world');
    const word = block.slice(6, 11);
    const letter = word.slice(0, 1);
    block.release();
    expect(word.bytes.toString()).toBe('world');
    word.release();
    expect(() => word.bytes).toThrow(UseAfterRelease);
    expect(() => word.slice()).toThrow(UseAfterRelease);
    expect(() => word.release()).toThrow(DoubleRelease);
    expect(letter.bytes.toString()).toBe('w');
    expect(pool.stats().inUse).toBe(1);
    letter.release();
    expect(pool.stats().inUse).toBe(0);
  });

  test('`using` releases blocks and slices', () => {
    const pool = smallPool();
    const block = pool.acquire();
    const slice = block.slice();
    slice[Symbol.dispose]();
    block[Symbol.dispose]();
    expect(pool.stats().inUse).toBe(0);
  });

  test('a foreign block is refused and stays with its owner', () => {
    const [pool, other] = [smallPool(), smallPool()];
    const block = other.acquire();
    expect(() => pool.release(block)).toThrow(ForeignBlock);
    expect(() => pool.release({ release: () => {} } as Block)).toThrow(ForeignBlock);
    expect(other.stats().inUse).toBe(1);
    other.release(block);
    expect(other.stats().inUse).toBe(0);
  });

  test('the block of bytes is found by any part of them; foreign bytes and free blocks are told', () => {
    const pool = smallPool();
    const [first, second] = [pool.acquire(), pool.acquire()];
    expect(pool.blockOf(second.bytes)).toBe(second);
    expect(pool.blockOf(first.bytes.subarray(99))).toBe(first);
    expect(pool.owns(first.bytes)).toBe(true);
    expect(pool.owns(Buffer.alloc(10))).toBe(false);
    expect(() => pool.blockOf(Buffer.alloc(10))).toThrow(ForeignBlock);
    // Across two blocks, and in the gap between them.
    expect(pool.owns(Buffer.from(first.bytes.buffer, 50, 100))).toBe(false);
    expect(pool.owns(Buffer.from(first.bytes.buffer, 100, 4))).toBe(false);
    first.release();
    expect(() => pool.blockOf(first.bytes)).toThrow(UseAfterRelease);
  });
});

describe('waiting', () => {
  test('whoever asked first gets the first block that comes back', async () => {
    const pool = smallPool(1);
    const block = pool.acquire();
    const order: number[] = [];
    const waits = [1, 2, 3].map((who) =>
      pool.acquireLater().then((got) => {
        order.push(who);
        got.release();
      }),
    );
    expect(pool.tryAcquire()).toBeUndefined();
    block.release();
    // It is promised already: nobody can come in between.
    expect(pool.tryAcquire()).toBeUndefined();
    await Promise.all(waits);
    expect(order).toEqual([1, 2, 3]);
    expect(pool.stats()).toMatchObject({ inUse: 0, waits: 3 });
  });

  test('a free block is given without a wait', async () => {
    const pool = smallPool();
    (await pool.acquireLater()).release();
    expect(pool.stats()).toMatchObject({ waits: 0, acquired: 1 });
  });

  test('whoever gives up, by time or by signal, holds nothing and is not served', async () => {
    const pool = smallPool(1);
    const block = pool.acquire();
    const stop = new AbortController();
    const aborted = pool.acquireLater({ signal: stop.signal, timeoutMs: 10_000 });
    const late = pool.acquireLater({ timeoutMs: 1 });
    const patient = pool.acquireLater();
    stop.abort(new Error('the user went away'));
    await expect(aborted).rejects.toThrow('the user went away');
    await expect(late).rejects.toThrow('no block was released within 1 ms: 1 of 1 blocks of 100 bytes are held');
    await expect(pool.acquireLater({ signal: stop.signal })).rejects.toThrow('the user went away');
    block.release();
    (await patient).release();
    expect(pool.stats()).toMatchObject({ inUse: 0, failed: 2 });
  });

  test('the queue is bounded: one more is refused at once', async () => {
    const pool = new BlockPool({ blockBytes: 1, blocksMax: 1, waitersMax: 2 });
    const block = pool.acquire();
    const waits = [pool.acquireLater(), pool.acquireLater()];
    await expect(pool.acquireLater()).rejects.toThrow('too many wait for a block');
    block.release();
    for (const wait of waits) (await wait).release();
    expect(pool.stats()).toMatchObject({ inUse: 0, waits: 2, failed: 1 });
  });
});

describe('trimming', () => {
  test('slabs of which nothing is held are given back, others stay and work', () => {
    const pool = smallPool(6);
    const held = Array.from({ length: 6 }, () => pool.acquire());
    expect(pool.stats()).toMatchObject({ blocks: 6, bytes: 6 * 104 });
    // The second slab of three has one held block.
    for (const [at, block] of held.entries()) if (at !== 3) block.release();
    expect(pool.trim()).toBe(4 * 104);
    expect(pool.stats()).toMatchObject({ blocks: 2, inUse: 1, bytes: 2 * 104 });
    const again = Array.from({ length: 5 }, () => pool.acquire());
    expect(new Set([...again, held[3]]).size).toBe(6);
    expect(() => pool.acquire()).toThrow(PoolExhausted);
    expect(() => held[0]!.release()).toThrow(DoubleRelease);
  });

  test('as many slabs as are asked for stay', () => {
    const pool = smallPool(6);
    for (const block of Array.from({ length: 6 }, () => pool.acquire())) block.release();
    expect(pool.trim(1)).toBe(4 * 104);
    expect(pool.trim(1)).toBe(0);
    expect(pool.trim()).toBe(2 * 104);
    expect(pool.stats()).toMatchObject({ blocks: 0, bytes: 0 });
  });
});

test('a random life of a pool agrees with a plain list of what is held', () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = numbersFrom(seed);
  const pool = new BlockPool({ blockBytes: 16, blocksMax: 20, blocksPerSlab: 3 });
  const held: { block: Block; uses: number; mark: number }[] = [];
  const story = `seed ${seed}`;
  for (let step = 0; step < 30_000; step++) {
    const chance = random();
    const at = Math.floor(random() * held.length);
    if (chance < 0.45) {
      const block = pool.tryAcquire();
      if ((block === undefined) !== (held.length === 20))
        throw new Error(`${story}, step ${step}: exhausted too early`);
      if (block === undefined) continue;
      block.bytes.writeDoubleLE(step);
      held.push({ block, uses: 1, mark: step });
    } else if (chance < 0.5 && held.length > 0) {
      held[at]!.block.retain();
      held[at]!.uses++;
    } else if (chance < 0.98 && held.length > 0) {
      const one = held[at]!;
      if (one.block.bytes.readDoubleLE() !== one.mark)
        throw new Error(`${story}, step ${step}: somebody wrote into it`);
      one.block.release();
      if (--one.uses === 0) held.splice(at, 1);
    } else if (chance >= 0.98) pool.trim(Math.floor(random() * 3));
    if (pool.stats().inUse !== held.length) throw new Error(`${story}, step ${step}: ${pool.stats().inUse} held`);
  }
  for (const { block, uses } of held) for (let use = 0; use < uses; use++) block.release();
  expect(pool.stats().inUse).toBe(0);
  pool.trim();
  expect(pool.stats().bytes).toBe(0);
});
