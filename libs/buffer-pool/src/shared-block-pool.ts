/**
 * Blocks in one SharedArrayBuffer that any number of threads acquire and release, without a lock.
 *
 *     | header: 16 cells | owner of block 0 | owner of block 1 | …  | padding | block 0 | block 1 | …
 *
 * A block's state is one 32-bit cell: 0 when it is free, else who holds it. A single compare-and-exchange claims it and
 * says by whom, so that there is no moment at which a thread that is killed leaves a block that is neither free nor
 * anybody's. (A bitmap of free blocks beside a list of owners has that moment, between the two.) There is nothing to
 * mistake for something older either: a cell is the state itself, not a pointer to it.
 */
import { threadId, type Worker } from 'node:worker_threads';
import type { PoolStats } from './block-pool.ts';
import { alignmentOf, integerWithin, roundUp } from './options.ts';
import { DoubleRelease, ForeignBlock, PoolExhausted, UseAfterRelease } from './pool-errors.ts';

const MAGIC = 0x504c_4e50;
const Header = {
  magic: 0,
  blockBytes: 1,
  stride: 2,
  blocks: 3,
  dataAt: 4,
  inUse: 5,
  highWater: 6,
  waiting: 7,
  turn: 8,
};
/** One cache line of their own for the cells that change. */
const HEADER_CELLS = 16;
const CELL_BYTES = 4;
const FREE = 0;
const OWNER_MAX = 2 ** 31 - 1;
/** A thread that was woken and then killed wakes nobody else: who waits looks again by itself after this time. */
const LOOK_AGAIN_MS = 100;

export interface SharedBlockPoolOptions {
  /** Size of every block in bytes. */
  blockBytes: number;
  blocks: number;
  /** Every block starts at a multiple of this: a power of two up to 4,096. Default 64, so that no two share a cache line. */
  alignment?: number;
}

/** What another thread needs: goes through `workerData` and `postMessage`. */
export interface SharedBlockPoolHandle {
  readonly memory: SharedArrayBuffer;
}

/** A thread's door to the pool. A block is a number, which goes from thread to thread in any way numbers go. */
export class SharedBlockPool {
  readonly handle: SharedBlockPoolHandle;
  readonly blockBytes: number;
  readonly blocks: number;
  /** Who acquires through this door: of each thread its own. */
  readonly owner: number;
  readonly #cells: Int32Array;
  readonly #stride: number;
  readonly #dataAt: number;
  readonly #views: (Buffer | undefined)[];
  /** Where to look first: the block released last, whose bytes may still be in the cache. */
  #cursor: number;
  #acquired = 0;
  #failed = 0;
  #waits = 0;

  private constructor(memory: SharedArrayBuffer, owner: number) {
    this.handle = { memory };
    this.#cells = new Int32Array(memory, 0, Math.floor(memory.byteLength / CELL_BYTES));
    this.owner = integerWithin('owner', owner, 1, OWNER_MAX);
    this.blockBytes = this.#cells[Header.blockBytes]!;
    this.blocks = this.#cells[Header.blocks]!;
    this.#stride = this.#cells[Header.stride]!;
    this.#dataAt = this.#cells[Header.dataAt]!;
    this.#views = new Array(this.blocks).fill(undefined);
    // Threads begin far from each other: they would else claim neighbours, whose cells share cache lines.
    this.#cursor = (Math.imul(owner, 0x9e37_79b1) >>> 0) % this.blocks;
  }

  /** Makes the memory, all of it, at once. @throws RangeError that names the option which is out of range. */
  static create({ blockBytes, blocks, alignment = 64 }: SharedBlockPoolOptions): SharedBlockPool {
    integerWithin('blockBytes', blockBytes, 1, 2 ** 30);
    integerWithin('blocks', blocks, 1, 2 ** 24);
    const stride = roundUp(blockBytes, alignmentOf(alignment));
    const dataAt = roundUp((HEADER_CELLS + blocks) * CELL_BYTES, Math.max(64, alignment));
    const memory = new SharedArrayBuffer(roundUp(dataAt + stride * blocks, CELL_BYTES));
    const cells = new Int32Array(memory, 0, HEADER_CELLS);
    cells[Header.blockBytes] = blockBytes;
    cells[Header.stride] = stride;
    cells[Header.blocks] = blocks;
    cells[Header.dataAt] = dataAt;
    Atomics.store(cells, Header.magic, MAGIC);
    return new SharedBlockPool(memory, threadId + 1);
  }

  /**
   * Opens the pool in another thread.
   *
   * @param owner - Who acquires through this door; default: of each thread its own, never used again in this process.
   * @throws TypeError when the memory is not that of a pool.
   */
  static attach(handle: SharedBlockPoolHandle, owner = threadId + 1): SharedBlockPool {
    const { memory } = handle;
    const isPool =
      memory instanceof SharedArrayBuffer &&
      memory.byteLength > HEADER_CELLS * CELL_BYTES &&
      new Int32Array(memory, 0, 1)[Header.magic] === MAGIC;
    if (!isPool) throw new TypeError('the handle is not that of a SharedBlockPool');
    return new SharedBlockPool(memory, owner);
  }

  /** @throws PoolExhausted when all blocks are held. Cost: that of `tryAcquire`. */
  acquire(): number {
    const index = this.tryAcquire();
    if (index === -1) throw this.#exhausted('no block is free');
    return index;
  }

  /** @returns The block, or -1 when all are held. Cost: tens of nanoseconds; up to a look at each block when nearly all are held. */
  tryAcquire(): number {
    const index = this.#claim();
    if (index === -1) this.#failed++;
    return index;
  }

  /**
   * Takes a block, or blocks this thread until one is released. Nobody is preferred among those who wait.
   *
   * @throws PoolExhausted when there was none within `timeoutMs`. Default: waits for as long as it takes.
   */
  acquireSync({ timeoutMs = Number.POSITIVE_INFINITY }: { timeoutMs?: number } = {}): number {
    const first = this.#claim();
    if (first !== -1) return first;
    this.#waits++;
    const cells = this.#cells;
    const deadline = performance.now() + timeoutMs;
    // First say that we wait, then look: whoever releases frees first and then looks who waits, so one sees the other.
    Atomics.add(cells, Header.waiting, 1);
    try {
      for (;;) {
        const turn = Atomics.load(cells, Header.turn);
        const index = this.#claim();
        if (index !== -1) return index;
        const leftMs = deadline - performance.now();
        if (leftMs <= 0) break;
        Atomics.wait(cells, Header.turn, turn, Math.min(leftMs, LOOK_AGAIN_MS));
      }
    } finally {
      Atomics.sub(cells, Header.waiting, 1);
    }
    this.#failed++;
    throw this.#exhausted(`no block was released within ${timeoutMs} ms`);
  }

  /** The memory of a block that this thread holds. @throws UseAfterRelease or ForeignBlock when it does not hold it. */
  bytes(index: number): Buffer {
    if (Atomics.load(this.#cells, this.#cellOf(index)) !== this.owner) throw this.#notOurs(index, 'used');
    let view = this.#views[index];
    if (view === undefined) {
      view = Buffer.from(this.handle.memory, this.#dataAt + index * this.#stride, this.blockBytes);
      this.#views[index] = view;
    }
    return view;
  }

  /** Gives a block back. @throws DoubleRelease when it is free, ForeignBlock when another thread holds it. */
  release(index: number): void {
    if (!this.#free(this.#cellOf(index), this.owner)) throw this.#notOurs(index, 'released');
    this.#cursor = index;
    this.#wake(1);
  }

  /**
   * Takes over a block that was sent by another thread: from now on this one holds it and releases it.
   *
   * @param from - The `owner` of the sender.
   * @throws ForeignBlock when the sender does not hold it any more, as it ended and its blocks were reclaimed.
   */
  adopt(index: number, from: number): void {
    const found = Atomics.compareExchange(this.#cells, this.#cellOf(index), from, this.owner);
    if (found === from) return;
    throw new ForeignBlock(`block ${index} was to be taken over from ${from}, but ${whoIs(found)}`);
  }

  /** Who holds a block: 0 when it is free. */
  ownerOf(index: number): number {
    return Atomics.load(this.#cells, this.#cellOf(index));
  }

  /**
   * Frees all blocks of a thread that has ended, at whatever point. Never of one that runs: its blocks would get a
   * second holder.
   *
   * @returns Blocks freed. Cost: a look at each block.
   */
  reclaim(owner: number): number {
    integerWithin('owner', owner, 1, OWNER_MAX);
    let freed = 0;
    for (let cell = HEADER_CELLS; cell < HEADER_CELLS + this.blocks; cell++) {
      if (Atomics.load(this.#cells, cell) === owner && this.#free(cell, owner)) freed++;
    }
    if (freed > 0) this.#wake(freed);
    return freed;
  }

  /** Reclaims the blocks of a worker when it ends. To be called before it does, as its number is forgotten then. */
  reclaimAtExit(worker: Worker): void {
    const owner = worker.threadId + 1;
    if (owner < 1) throw new TypeError('the worker has ended already: nobody knows its number any more');
    worker.once('exit', () => this.reclaim(owner));
  }

  /**
   * `inUse` is counted now, `highWater` is that of all threads (and may be off by one for each thread that was killed
   * within a call); `acquired`, `failed` and `waits` are those of this door.
   */
  stats(): PoolStats {
    let inUse = 0;
    for (let index = 0; index < this.blocks; index++) if (this.ownerOf(index) !== FREE) inUse++;
    return {
      blocks: this.blocks,
      inUse,
      highWater: Math.max(inUse, Math.min(this.blocks, Atomics.load(this.#cells, Header.highWater))),
      acquired: this.#acquired,
      failed: this.#failed,
      waits: this.#waits,
      bytes: this.handle.memory.byteLength,
    };
  }

  #claim(): number {
    const { blocks } = this;
    const cells = this.#cells;
    if (Atomics.load(cells, Header.inUse) >= blocks) return -1;
    let index = this.#cursor;
    for (let looked = 0; looked < blocks; looked++) {
      const cell = HEADER_CELLS + index;
      if (Atomics.load(cells, cell) === FREE && Atomics.compareExchange(cells, cell, FREE, this.owner) === FREE) {
        this.#cursor = index;
        this.#claimed();
        return index;
      }
      index = index + 1 === blocks ? 0 : index + 1;
    }
    return -1;
  }

  #claimed(): void {
    this.#acquired++;
    const inUse = Atomics.add(this.#cells, Header.inUse, 1) + 1;
    let highWater = Atomics.load(this.#cells, Header.highWater);
    while (inUse > highWater) {
      const found = Atomics.compareExchange(this.#cells, Header.highWater, highWater, inUse);
      if (found === highWater) return;
      highWater = found;
    }
  }

  /**
   * The count goes down before the block is free, and up after it is held: wherever a thread is killed, the count is
   * never above what is held, so that a full count always means a full pool.
   */
  #free(cell: number, owner: number): boolean {
    Atomics.sub(this.#cells, Header.inUse, 1);
    if (Atomics.compareExchange(this.#cells, cell, owner, FREE) === owner) return true;
    Atomics.add(this.#cells, Header.inUse, 1);
    return false;
  }

  #wake(blocks: number): void {
    if (Atomics.load(this.#cells, Header.waiting) === 0) return;
    Atomics.add(this.#cells, Header.turn, 1);
    Atomics.notify(this.#cells, Header.turn, blocks);
  }

  #cellOf(index: number): number {
    if (index >= 0 && index < this.blocks && Number.isInteger(index)) return HEADER_CELLS + index;
    throw new ForeignBlock(`there is no block ${index}; the pool has ${this.blocks}`);
  }

  #notOurs(index: number, what: string): Error {
    const owner = this.ownerOf(index);
    if (owner !== FREE) return new ForeignBlock(`block ${index} was ${what} by ${this.owner}, but ${whoIs(owner)}`);
    const free = `block ${index} was ${what}, but it is free`;
    return what === 'released' ? new DoubleRelease(free) : new UseAfterRelease(free);
  }

  #exhausted(why: string): PoolExhausted {
    const inUse = this.stats().inUse;
    const waiting = Math.max(0, Atomics.load(this.#cells, Header.waiting));
    return new PoolExhausted(why, { blockBytes: this.blockBytes, blocksMax: this.blocks, inUse, waiting });
  }
}

const whoIs = (owner: number): string => (owner === FREE ? 'it is free' : `${owner} holds it`);
