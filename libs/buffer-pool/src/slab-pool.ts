import type { Block } from './block.ts';
import { type Belonging, BlockPool, type BlockPoolOptions, type PoolStats } from './block-pool.ts';
import { alignmentOf, integerWithin, roundUp } from './options.ts';
import { ForeignBlock } from './pool-errors.ts';
import { Budget } from './shelf.ts';
import type { WaitOptions } from './waiters.ts';
import type { Leak } from './watch.ts';

const CLASS_BYTES_MIN = 64;
const CLASS_BYTES_MAX = 2 ** 20;
const BLOCK_BYTES_MAX = 2 ** 30;
/** Smaller than a pool of one size takes: a class that is hardly used should not hold much of the memory. */
const SLAB_BYTES = 2 ** 18;

export interface SlabPoolOptions
  extends Pick<BlockPoolOptions, 'alignment' | 'shared' | 'waitersMax' | 'debug' | 'onLeak'> {
  /** The sizes of blocks in bytes. Default: the powers of two from 64 bytes to 1 MiB. */
  classes?: readonly number[];
  /** The most memory of all slabs together. */
  bytesMax: number;
  /** Memory that a class takes at once; at least one block. Default 256 KiB. */
  slabBytes?: number;
}

export interface SlabPoolStats extends PoolStats {
  /** Per size, the smallest first. `highWater` of the whole is the sum of theirs, which were not at the same moment. */
  classes: (PoolStats & { blockBytes: number })[];
}

/** The powers of two from `min` to `max` bytes. */
function powersOfTwo(min: number, max: number): number[] {
  const sizes: number[] = [];
  for (let size = min; size <= max; size *= 2) sizes.push(size);
  return sizes;
}

/** Which power of two holds so many bytes. */
const bitsOf = (bytes: number): number => 32 - Math.clz32(bytes - 1);

/**
 * Blocks of several sizes on one bounded memory. Whoever asks for n bytes gets a block of the smallest size that fits.
 * When the memory is used up, slabs that lie idle in other sizes are given up for the size that is asked for.
 */
export class SlabPool {
  readonly #pools: readonly BlockPool[];
  /** For each power of two the first class that may fit: one step from a size to its class, or a few. */
  readonly #firstOf: readonly number[];
  readonly #largest: number;
  readonly #budget: Budget;

  /** @throws RangeError that names the option which is out of range. */
  constructor(options: SlabPoolOptions) {
    const {
      classes = powersOfTwo(CLASS_BYTES_MIN, CLASS_BYTES_MAX),
      bytesMax,
      slabBytes = SLAB_BYTES,
      ...rest
    } = options;
    const sizes = [...new Set(classes)].sort((a, b) => a - b);
    if (sizes.length === 0) throw new RangeError('classes is empty; it must name at least one size in bytes');
    for (const size of sizes) integerWithin('a size in classes', size, 1, BLOCK_BYTES_MAX);
    integerWithin('slabBytes', slabBytes, 1, BLOCK_BYTES_MAX);
    this.#largest = sizes.at(-1)!;
    const alignment = alignmentOf(options.alignment ?? 8);
    integerWithin('bytesMax', bytesMax, roundUp(this.#largest, alignment), Number.MAX_SAFE_INTEGER);
    this.#budget = new Budget(bytesMax);
    const belonging = this.#belonging();
    this.#pools = sizes.map((blockBytes) => {
      const stride = roundUp(blockBytes, alignment);
      const blocksPerSlab = Math.max(1, Math.floor(slabBytes / stride));
      const blocksMax = Math.min(Math.floor(bytesMax / stride), 2 ** 30);
      return new BlockPool({ ...rest, blockBytes, blocksMax, blocksPerSlab }, belonging);
    });
    this.#firstOf = Array.from({ length: bitsOf(this.#largest) + 1 }, (_, bits) =>
      sizes.findIndex((size) => size > (bits === 0 ? 0 : 2 ** (bits - 1))),
    );
  }

  /**
   * Takes a block of at least `bytes` bytes: `block.bytes.length` is the size of its class.
   *
   * @throws RangeError when no class is that large, PoolExhausted when the memory is used up.
   * Cost: that of a pool of one size, and finding the class.
   */
  acquire(bytes: number): Block {
    return this.#poolFor(bytes).acquire();
  }

  /** As `acquire`, but returns nothing when the memory is used up. */
  tryAcquire(bytes: number): Block | undefined {
    return this.#poolFor(bytes).tryAcquire();
  }

  /** As `acquire`, but waits for what others release, in any class. Fair among those who wait for the same class. */
  async acquireLater(bytes: number, options?: WaitOptions): Promise<Block> {
    return this.#poolFor(bytes).acquireLater(options);
  }

  /** The block that these bytes lie in. @throws ForeignBlock, UseAfterRelease as `BlockPool.blockOf`. */
  blockOf(bytes: Uint8Array): Block {
    const pool = this.#pools.find((one) => one.owns(bytes));
    if (pool === undefined) throw new ForeignBlock(`${bytes.byteLength} bytes are not of a block of this pool`);
    return pool.blockOf(bytes);
  }

  owns(bytes: Uint8Array): boolean {
    return this.#pools.some((pool) => pool.owns(bytes));
  }

  /** Lets go of slabs without a held block, but for `slabsKept` of each class; the garbage collector frees them. @returns Their bytes. */
  trim(slabsKept = 0): number {
    const bytes = this.#pools.reduce((sum, pool) => sum + pool.trim(slabsKept), 0);
    this.#serve();
    return bytes;
  }

  stats(): SlabPoolStats {
    const classes = this.#pools.map((pool) => ({ blockBytes: pool.blockBytes, ...pool.stats() }));
    const sum = (name: keyof PoolStats) => classes.reduce((total, one) => total + one[name], 0);
    return {
      blocks: sum('blocks'),
      inUse: sum('inUse'),
      highWater: sum('highWater'),
      acquired: sum('acquired'),
      failed: sum('failed'),
      waits: sum('waits'),
      bytes: this.#budget.bytes,
      classes,
    };
  }

  /** Debug: what is held now. Empty without `debug`. */
  leaks(): Leak[] {
    return this.#pools.flatMap((pool) => pool.leaks());
  }

  #poolFor(bytes: number): BlockPool {
    // One comparison also turns away what is not a number.
    if (!(bytes <= this.#largest) || bytes < 0) {
      throw new RangeError(`${bytes} bytes were asked for; a block has at most ${this.#largest}`);
    }
    let at = this.#firstOf[bytes > 1 ? bitsOf(bytes) : 0]!;
    while (this.#pools[at]!.blockBytes < bytes) at++;
    return this.#pools[at]!;
  }

  #belonging(): Belonging {
    return {
      budget: this.#budget,
      makeRoom: (pool) => this.#makeRoom(pool),
      ask: (more) => {
        for (const pool of this.#pools) pool.ask(more);
      },
      serve: () => this.#serve(),
    };
  }

  #makeRoom(asking: BlockPool): boolean {
    for (const pool of this.#pools) {
      if (this.#budget.bytesLeft >= asking.stride) return true;
      if (pool !== asking) pool.trim();
    }
    return this.#budget.bytesLeft >= asking.stride;
  }

  #serve(): void {
    for (const pool of this.#pools) pool.serve();
  }
}
