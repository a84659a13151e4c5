import { describe, expect, test } from '@jest/globals';
import { type Block, ForeignBlock, PoolExhausted, SlabPool } from './buffer-pool.ts';
import { numbersFrom } from './seeded.fixture.ts';

describe('size classes', () => {
  test.each([
    [0, 64],
    [1, 64],
    [64, 64],
    [65, 128],
    [4095, 4096],
    [4096, 4096],
    [4097, 8192],
    [2 ** 20, 2 ** 20],
  ])('%i bytes get a block of %i', (bytes, expected) => {
    const pool = new SlabPool({ bytesMax: 2 ** 24 });
    expect(pool.acquire(bytes).bytes).toHaveLength(expected);
  });

  test('own classes, in any order and of any size, give the smallest that fits, for every size', () => {
    const classes = [5000, 3, 100, 129, 128, 1, 100];
    const pool = new SlabPool({ classes, bytesMax: 2 ** 22 });
    for (let bytes = 0; bytes <= 5000; bytes++) {
      const block = pool.acquire(bytes);
      const expected = Math.min(...classes.filter((size) => size >= bytes));
      if (block.bytes.length !== expected) throw new Error(`${bytes} bytes got ${block.bytes.length}`);
      block.release();
    }
    expect(pool.stats().classes.map(({ blockBytes }) => blockBytes)).toEqual([1, 3, 100, 128, 129, 5000]);
  });

  test.each([2 ** 20 + 1, -1, Number.NaN, Number.POSITIVE_INFINITY])('%d bytes are refused by name', (bytes) => {
    const pool = new SlabPool({ bytesMax: 2 ** 24 });
    const message = `${bytes} bytes were asked for; a block has at most 1048576`;
    expect(() => pool.acquire(bytes)).toThrow(new RangeError(message));
    expect(() => pool.tryAcquire(bytes)).toThrow(message);
  });

  test.each([
    [{ bytesMax: 0 }, 'bytesMax is 0; it must be an integer from 1048576'],
    [{ bytesMax: 2 ** 24, classes: [] }, 'classes is empty'],
    [{ bytesMax: 2 ** 24, classes: [64, 0] }, 'a size in classes is 0'],
    [{ bytesMax: 2 ** 24, slabBytes: 0 }, 'slabBytes is 0'],
  ])('options that make no sense are named: %j', (options, message) => {
    expect(() => new SlabPool(options)).toThrow(message);
  });
});

describe('one memory for all classes', () => {
  const tightPool = () => new SlabPool({ classes: [64, 1024], bytesMax: 4096, slabBytes: 1024 });

  test('it is never more than bytesMax, and the end of it is told with figures', () => {
    const pool = tightPool();
    const held = Array.from({ length: 4 }, () => pool.acquire(1000));
    expect(pool.stats().bytes).toBe(4096);
    expect(() => pool.acquire(1000)).toThrow(PoolExhausted);
    expect(() => pool.acquire(10)).toThrow('no block is free: 0 of 64 blocks of 64 bytes are held');
    expect(pool.tryAcquire(10)).toBeUndefined();
    for (const block of held) block.release();
  });

  test('idle slabs of one size become slabs of another, held ones never', () => {
    const pool = tightPool();
    const held = Array.from({ length: 4 }, () => pool.acquire(1000));
    for (const block of held.slice(1)) block.release();
    held[0]!.bytes.fill(1);
    const small = Array.from({ length: 48 }, () => pool.acquire(64));
    for (const block of small) block.bytes.fill(2);
    expect(() => pool.acquire(64)).toThrow(PoolExhausted);
    expect(held[0]!.bytes.every((byte) => byte === 1)).toBe(true);
    expect(pool.stats()).toMatchObject({ bytes: 4096, inUse: 49 });
  });

  test('one who waits for a size is served by what comes back in another size', async () => {
    const pool = tightPool();
    const held = Array.from({ length: 4 }, () => pool.acquire(1000));
    const small = pool.acquireLater(64);
    held[2]!.release();
    expect((await small).bytes).toHaveLength(64);
    expect(pool.stats()).toMatchObject({ inUse: 4, waits: 1, bytes: 4096 });
  });

  test('one who waits for a large size gets it when the last small block of a slab comes back', async () => {
    const pool = tightPool();
    const held = Array.from({ length: 64 }, () => pool.acquire(64));
    let isServed = false;
    const large = pool.acquireLater(1024).then((block) => {
      isServed = true;
      return block;
    });
    for (const block of held.slice(1, 16)) block.release();
    await new Promise(setImmediate);
    expect(isServed).toBe(false);
    held[0]!.release();
    expect((await large).bytes).toHaveLength(1024);
    await expect(pool.acquireLater(1024, { timeoutMs: 1 })).rejects.toThrow(PoolExhausted);
  });

  test('trimming gives all idle memory back', () => {
    const pool = tightPool();
    pool.acquire(10).release();
    const held = pool.acquire(1024);
    expect(pool.trim()).toBe(1024);
    held.release();
    expect(pool.trim()).toBe(1024);
    expect(pool.stats()).toMatchObject({ bytes: 0, blocks: 0, acquired: 2 });
  });
});

test('bytes lead to their block, foreign ones are told', () => {
  const pool = new SlabPool({ bytesMax: 2 ** 24 });
  const blocks = [10, 1000, 100_000].map((bytes) => pool.acquire(bytes));
  for (const block of blocks) expect(pool.blockOf(block.bytes.subarray(1, 5))).toBe(block);
  expect(pool.owns(Buffer.alloc(8))).toBe(false);
  expect(() => pool.blockOf(Buffer.alloc(8))).toThrow(ForeignBlock);
});

test('in a random life the memory stays within bytesMax, blocks keep their bytes, and all who wait are served', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = numbersFrom(seed);
  const pool = new SlabPool({ classes: [16, 64, 300, 1000], bytesMax: 5000, slabBytes: 500 });
  const held: { block: Block; mark: number }[] = [];
  const waits: Promise<unknown>[] = [];
  const keep = (block: Block) => {
    const mark = Math.floor(random() * 256);
    block.bytes.fill(mark);
    held.push({ block, mark });
  };
  const giveBack = (at: number) => {
    const [{ block, mark }] = held.splice(at, 1) as [{ block: Block; mark: number }];
    if (block.bytes.some((byte) => byte !== mark)) throw new Error(`seed ${seed}: somebody wrote into a held block`);
    block.release();
  };
  for (let step = 0; step < 20_000; step++) {
    const bytes = Math.floor(random() ** 3 * 1000);
    const chance = random();
    if (chance < 0.4) {
      const block = pool.tryAcquire(bytes);
      if (block !== undefined) keep(block);
    } else if (chance < 0.45) waits.push(pool.acquireLater(bytes).then(keep));
    else if (held.length > 0) giveBack(Math.floor(random() * held.length));
    if (pool.stats().bytes > 5000) throw new Error(`seed ${seed}, step ${step}: ${pool.stats().bytes} bytes`);
    if (step % 10 === 0) await null;
  }
  let served = 0;
  for (const wait of waits) wait.then(() => served++);
  for (let turn = 0; turn < 5000 && served < waits.length; turn++) {
    while (held.length > 0) giveBack(0);
    await new Promise(setImmediate);
  }
  while (held.length > 0) giveBack(0);
  expect({ seed, served, inUse: pool.stats().inUse }).toEqual({ seed, served: waits.length, inUse: 0 });
  pool.trim();
  expect(pool.stats()).toMatchObject({ bytes: 0, blocks: 0 });
});
