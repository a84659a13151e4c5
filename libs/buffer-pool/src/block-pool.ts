import { type Block, PooledBlock } from './block.ts';
import { alignmentOf, integerWithin, roundUp } from './options.ts';
import { ForeignBlock, PoolExhausted, UseAfterRelease } from './pool-errors.ts';
import { Budget, Shelf } from './shelf.ts';
import { Waiters, type WaitOptions } from './waiters.ts';
import { type Leak, Watch, WatchedBlock } from './watch.ts';

const BLOCK_BYTES_MAX = 2 ** 30;
const BLOCKS_MAX = 2 ** 30;
/** Large enough that one slab is one mapping of the system, small enough that an idle one can often be trimmed. */
const SLAB_BYTES = 2 ** 20;

export interface BlockPoolOptions {
  /** Size of every block in bytes, 1 to 1 GiB. */
  blockBytes: number;
  /** The pool never has more blocks than that. */
  blocksMax: number;
  /** Blocks that are allocated at once. Default: as many as fit 1 MiB, at least one. */
  blocksPerSlab?: number;
  /** Every block starts at a multiple of this within its slab: a power of two up to 4,096. Default 8. */
  alignment?: number;
  /** Slabs are SharedArrayBuffers, so that other threads can read and write blocks. The pool itself stays with its thread. */
  shared?: boolean;
  /** Calls of `acquireLater` that may wait at the same time. Default 1,024. */
  waitersMax?: number;
  /** Finds double releases, uses after release and leaks, and tells who did it. Costs microseconds a block. */
  debug?: boolean;
  /** Debug: a handle was forgotten and garbage-collected. Default: a warning of the process. */
  onLeak?: (leak: Leak) => void;
}

export interface PoolStats {
  /** Blocks there is memory for now. */
  blocks: number;
  inUse: number;
  /** The most blocks that were ever held at once. */
  highWater: number;
  acquired: number;
  /** Calls that got no block: the pool was full, or nobody released in time. */
  failed: number;
  /** Calls of `acquireLater` that had to wait. */
  waits: number;
  /** Memory of all slabs, in bytes. */
  bytes: number;
}

/** What binds a pool to others that live on the same memory. */
export interface Belonging {
  budget: Budget;
  /** Makes room by what the others do not need. @returns Whether there is some now. */
  makeRoom(pool: BlockPool): boolean;
  /** So many more, or fewer, wait for a block of any of the pools. */
  ask(more: number): void;
  /** Gives what came back to those who wait. */
  serve(): void;
}

/**
 * Blocks of one size, cut from large slabs and used again and again: to acquire and to release one allocates nothing.
 *
 * Slabs are made when they are first needed, up to `blocksMax` blocks, and kept until `trim`.
 */
export class BlockPool {
  readonly blockBytes: number;
  readonly blocksMax: number;
  /** From the start of one block to the start of the next, in bytes. */
  readonly stride: number;
  readonly #shelf: Shelf;
  readonly #waiters: Waiters;
  readonly #watch: Watch | undefined;
  readonly #belonging: Belonging | undefined;
  #failed = 0;

  /** @throws RangeError that names the option which is out of range. */
  constructor(options: BlockPoolOptions, belonging?: Belonging) {
    this.blockBytes = integerWithin('blockBytes', options.blockBytes, 1, BLOCK_BYTES_MAX);
    this.blocksMax = integerWithin('blocksMax', options.blocksMax, 1, BLOCKS_MAX);
    const stride = roundUp(this.blockBytes, alignmentOf(options.alignment ?? 8));
    this.stride = stride;
    const perSlab = options.blocksPerSlab ?? Math.max(1, Math.floor(SLAB_BYTES / stride));
    const watch =
      options.debug === true ? new Watch(this.blockBytes, options.onLeak ?? warnOfLeak, Date.now) : undefined;
    this.#watch = watch;
    this.#belonging = belonging;
    this.#waiters = new Waiters(integerWithin('waitersMax', options.waitersMax ?? 1024, 0, BLOCKS_MAX));
    this.#shelf = new Shelf({
      blockBytes: this.blockBytes,
      stride,
      blocksPerSlab: integerWithin('blocksPerSlab', perSlab, 1, BLOCKS_MAX),
      blocksMax: this.blocksMax,
      isShared: options.shared === true,
      budget: belonging?.budget ?? new Budget(Number.POSITIVE_INFINITY),
      onCut: watch === undefined ? undefined : (block) => watch.poison(block),
      onReturn: () => (belonging ?? this).serve(),
      onNoMemory: (cause) => new PoolExhausted('the system has no memory', this.#figures(), { cause }),
    });
  }

  /**
   * Takes a block. Its bytes are what the last holder left.
   *
   * @throws PoolExhausted when all are held.
   * Cost: a few nanoseconds; the first use of a block makes its handle, and sometimes a slab.
   */
  acquire(): Block {
    const block = this.#shelf.take();
    if (block !== undefined && this.#watch === undefined) return block;
    const found = block ?? this.#takeAfterRoom();
    if (found !== undefined) return this.#handOut(found, this.acquire);
    this.#failed++;
    throw new PoolExhausted('no block is free', this.#figures());
  }

  /** As `acquire`, but returns nothing when all blocks are held. */
  tryAcquire(): Block | undefined {
    const block = this.#shelf.take();
    if (block !== undefined && this.#watch === undefined) return block;
    const found = block ?? this.#takeAfterRoom();
    if (found !== undefined) return this.#handOut(found, this.tryAcquire);
    this.#failed++;
    return undefined;
  }

  /**
   * Takes a block, or waits until one is released: whoever asked first gets it first.
   *
   * @throws PoolExhausted when nobody released within `timeoutMs`, or `waitersMax` wait already; what `signal` was
   * aborted with. Nothing is held then.
   */
  async acquireLater({ signal, timeoutMs }: WaitOptions = {}): Promise<Block> {
    signal?.throwIfAborted();
    const block = this.#shelf.take() ?? this.#takeAfterRoom();
    if (block !== undefined) return this.#handOut(block, this.acquireLater);
    const asked = this.#belonging ?? this;
    asked.ask(1);
    try {
      return await this.#waiters.wait({ signal, timeoutMs }, (why) => new PoolExhausted(why, this.#figures()));
    } catch (error) {
      this.#failed++;
      throw error;
    } finally {
      asked.ask(-1);
    }
  }

  /** As `block.release()`, for whoever gets blocks from strangers. @throws ForeignBlock when it is not of this pool. */
  release(block: Block): void {
    const place = block instanceof WatchedBlock ? block.block : block;
    const isOurs = place instanceof PooledBlock && place.shelf === this.#shelf;
    if (!isOurs) throw new ForeignBlock('a block was released to a pool that it is not of');
    block.release();
  }

  /** Do these bytes lie in a block of this pool? */
  owns(bytes: Uint8Array): boolean {
    return this.#shelf.find(bytes) !== undefined;
  }

  /**
   * The block that these bytes, all of it or a part, lie in: for code that passes on buffers and not handles.
   *
   * @throws ForeignBlock when they are not of this pool, UseAfterRelease when the block is free.
   */
  blockOf(bytes: Uint8Array): Block {
    const block = this.#shelf.find(bytes);
    if (block === undefined) throw new ForeignBlock(`${bytes.byteLength} bytes are not of a block of this pool`);
    if (block.uses === 0) throw new UseAfterRelease('the bytes are of a block that is free');
    return this.#watch?.handle(block) ?? block;
  }

  /** Lets go of slabs without a held block, but for `slabsKept` slabs in all; the garbage collector frees them. @returns Their bytes. */
  trim(slabsKept = 0): number {
    return this.#shelf.trim(integerWithin('slabsKept', slabsKept, 0, BLOCKS_MAX));
  }

  stats(): PoolStats {
    const { blocks, inUse, highWater, acquired, bytes } = this.#shelf;
    return { blocks, inUse, highWater, acquired, failed: this.#failed, waits: this.#waiters.waits, bytes };
  }

  /** Debug: what is held now, the oldest first. Empty without `debug`. */
  leaks(): Leak[] {
    return this.#watch?.leaks() ?? [];
  }

  /** Internal: how many more wait for something to come back to this pool. */
  ask(more: number): void {
    this.#shelf.askers += more;
  }

  /** Internal: gives free blocks to those who wait, as far as there are any. Never throws: it runs in somebody's release. */
  serve(): void {
    while (this.#waiters.count > 0) {
      try {
        const block = this.#shelf.take() ?? this.#takeAfterRoom();
        if (block === undefined) return;
        this.#waiters.give(() => this.#handOut(block, this.serve));
      } catch (error) {
        this.#waiters.give(() => {
          throw error;
        });
      }
    }
  }

  #takeAfterRoom(): PooledBlock | undefined {
    return this.#belonging?.makeRoom(this) === true ? this.#shelf.take() : undefined;
  }

  #handOut(block: PooledBlock, caller: (...args: never[]) => unknown): Block {
    return this.#watch === undefined ? block : this.#watch.handOut(block, caller);
  }

  #figures() {
    return {
      blockBytes: this.blockBytes,
      blocksMax: this.blocksMax,
      inUse: this.#shelf.inUse,
      waiting: this.#waiters.count,
    };
  }
}

function warnOfLeak({ blockBytes, acquiredAt }: Leak): void {
  const message = `a block of ${blockBytes} bytes was never released. Acquired:\n${acquiredAt}`;
  process.emitWarning(message, { code: 'PLINTH_POOL_LEAK' });
}
