/**
 * Where the blocks of one size lie: slabs of memory, cut into blocks as they are first needed, and a list of the free
 * ones. The last one given back is the first one handed out, as its bytes are still in the processor's cache.
 *
 *     slab 0  [ block | block | block | block ]      free → block 2 → block 0 → (none: cut the next, or a new slab)
 *     slab 1  [ block | block |  not cut yet  ]
 *
 * The list goes through the handles themselves, so that taking and putting back allocate nothing.
 */
import { markAsUntransferable } from 'node:worker_threads';
import { PooledBlock } from './block.ts';

export interface Slab {
  readonly memory: ArrayBuffer | SharedArrayBuffer;
  /** Handles made so far, by their place. */
  readonly blocks: PooledBlock[];
  inUse: number;
}

/** Memory that several shelves share: what one gives back another may have. */
export class Budget {
  readonly bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytesLeft(): number {
    return this.bytesMax - this.bytes;
  }
}

/** What a shelf is made of; all in bytes or blocks, checked by the caller. */
export interface ShelfPlan {
  blockBytes: number;
  /** From the start of one block to the start of the next. */
  stride: number;
  blocksPerSlab: number;
  blocksMax: number;
  isShared: boolean;
  budget: Budget;
  /** Looks at a block that was just cut. */
  onCut: ((block: PooledBlock) => void) | undefined;
  /** Called after a block came back, while somebody waits. */
  onReturn: () => void;
  /** Says why there is no slab. */
  onNoMemory: (cause: unknown) => Error;
}

export class Shelf {
  readonly plan: ShelfPlan;
  /** Blocks that the slabs have room for, cut or not. */
  blocks = 0;
  inUse = 0;
  /** The most that were ever held at once. */
  highWater = 0;
  acquired = 0;
  /** Those who wait for a block to come back. */
  askers = 0;
  #free: PooledBlock | undefined = undefined;
  /** The slab that is being cut. */
  #fresh: Slab | undefined = undefined;
  readonly #slabs = new Map<ArrayBufferLike, Slab>();

  constructor(plan: ShelfPlan) {
    this.plan = plan;
  }

  /** @returns Nothing when all blocks are held and there may be no more. @throws What `onNoMemory` makes of it. */
  take(): PooledBlock | undefined {
    let block = this.#free;
    if (block !== undefined) this.#free = block.next;
    else {
      block = this.#cut();
      if (block === undefined) return undefined;
    }
    block.uses = 1;
    block.slab.inUse++;
    this.acquired++;
    if (++this.inUse > this.highWater) this.highWater = this.inUse;
    return block;
  }

  /** The block must be held, by one owner. */
  putBack(block: PooledBlock): void {
    block.uses = 0;
    block.slab.inUse--;
    this.inUse--;
    block.next = this.#free;
    this.#free = block;
    if (this.askers !== 0) this.plan.onReturn();
  }

  get bytes(): number {
    return this.blocks * this.plan.stride;
  }

  /** The block that these bytes lie in, free or not. */
  find(bytes: Uint8Array): PooledBlock | undefined {
    const slab = this.#slabs.get(bytes.buffer);
    if (slab === undefined) return undefined;
    const place = Math.floor(bytes.byteOffset / this.plan.stride);
    const isWithin = bytes.byteOffset + bytes.byteLength <= place * this.plan.stride + this.plan.blockBytes;
    return isWithin ? slab.blocks[place] : undefined;
  }

  /** Lets go of slabs of which no block is held: they go with the next collection. @returns Their bytes. Cost: a look at every free block. */
  trim(slabsKept: number): number {
    const idle = [...this.#slabs.values()].filter((slab) => slab.inUse === 0);
    const gone = new Set(idle.slice(0, Math.max(0, this.#slabs.size - slabsKept)));
    if (gone.size === 0) return 0;
    this.#free = withoutSlabs(this.#free, gone);
    if (this.#fresh !== undefined && gone.has(this.#fresh)) this.#fresh = undefined;
    let bytes = 0;
    for (const { memory } of gone) {
      bytes += memory.byteLength;
      this.#slabs.delete(memory);
    }
    this.blocks -= bytes / this.plan.stride;
    this.plan.budget.bytes -= bytes;
    return bytes;
  }

  #cut(): PooledBlock | undefined {
    const slab = this.#fresh ?? this.#grow();
    if (slab === undefined) return undefined;
    const { blockBytes, stride, onCut } = this.plan;
    const bytes = Buffer.from(slab.memory, slab.blocks.length * stride, blockBytes);
    const block = new PooledBlock(this, slab, bytes);
    this.#fresh = slab.blocks.push(block) === this.#roomOf(slab) ? undefined : slab;
    onCut?.(block);
    return block;
  }

  #grow(): Slab | undefined {
    const { stride, blocksPerSlab, blocksMax, isShared, budget } = this.plan;
    const blocks = Math.min(blocksPerSlab, blocksMax - this.blocks, Math.floor(budget.bytesLeft / stride));
    if (blocks === 0) return undefined;
    const slab: Slab = { memory: this.#memory(blocks * stride, isShared), blocks: [], inUse: 0 };
    this.#slabs.set(slab.memory, slab);
    this.blocks += blocks;
    budget.bytes += blocks * stride;
    return slab;
  }

  #memory(bytes: number, isShared: boolean): ArrayBuffer | SharedArrayBuffer {
    try {
      if (isShared) return new SharedArrayBuffer(bytes);
      const memory = new ArrayBuffer(bytes);
      // Else a `postMessage` that transfers the bytes of one block would take away those of all others.
      markAsUntransferable(memory);
      return memory;
    } catch (error) {
      throw this.plan.onNoMemory(error);
    }
  }

  #roomOf(slab: Slab): number {
    return slab.memory.byteLength / this.plan.stride;
  }
}

function withoutSlabs(first: PooledBlock | undefined, gone: ReadonlySet<Slab>): PooledBlock | undefined {
  let kept: PooledBlock | undefined;
  let last: PooledBlock | undefined;
  for (let block = first; block !== undefined; block = block.next) {
    if (gone.has(block.slab)) continue;
    if (last === undefined) kept = block;
    else last.next = block;
    last = block;
  }
  if (last !== undefined) last.next = undefined;
  return kept;
}
