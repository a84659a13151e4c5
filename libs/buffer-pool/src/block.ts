import { DoubleRelease, UseAfterRelease } from './pool-errors.ts';
import type { Shelf, Slab } from './shelf.ts';

/**
 * A piece of pooled memory. It has one owner for each time it was acquired or retained; the last release gives it back.
 * What the bytes hold at first is whatever the last owner left there.
 */
export interface Block {
  /** The memory: as long as the pool's `blockBytes`. Not to be touched after the last release. */
  readonly bytes: Buffer;
  /** Owners: 0 when it is free. */
  readonly uses: number;
  /** Adds an owner, who has to release as well. @throws UseAfterRelease when nobody holds the block. */
  retain(): Block;
  /** Ends one ownership. @throws DoubleRelease when nobody holds the block. */
  release(): void;
  /** A part that keeps the block until it is released itself. Start and end as of `subarray`. */
  slice(start?: number, end?: number): Slice;
  /** Releases, for `using`. */
  [Symbol.dispose](): void;
}

/** A part of a block, that may outlive the release of the block by its maker: a frame cut out of a read, for example. */
export class Slice {
  #block: Block | undefined;
  readonly #bytes: Buffer;

  /** Takes over one ownership of the block. */
  constructor(block: Block, bytes: Buffer) {
    this.#block = block;
    this.#bytes = bytes;
  }

  /** @throws UseAfterRelease after its release. */
  get bytes(): Buffer {
    if (this.#block === undefined) throw new UseAfterRelease('a slice was used after its release');
    return this.#bytes;
  }

  /** A part of this part, with a life of its own. */
  slice(start?: number, end?: number): Slice {
    const bytes = this.bytes.subarray(start, end);
    return new Slice(this.#block!.retain(), bytes);
  }

  /** @throws DoubleRelease at the second call. */
  release(): void {
    const block = this.#block;
    if (block === undefined) throw new DoubleRelease('a slice was released twice');
    this.#block = undefined;
    block.release();
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/** The handle of one place in a slab: made once, handed out again and again, so that acquiring allocates nothing. */
export class PooledBlock implements Block {
  readonly bytes: Buffer;
  readonly slab: Slab;
  readonly shelf: Shelf;
  uses = 0;
  /** The next free one, while this one is free. */
  next: PooledBlock | undefined = undefined;

  constructor(shelf: Shelf, slab: Slab, bytes: Buffer) {
    this.shelf = shelf;
    this.slab = slab;
    this.bytes = bytes;
  }

  retain(): Block {
    if (this.uses === 0) throw new UseAfterRelease('a block was retained after its last release');
    this.uses++;
    return this;
  }

  release(): void {
    if (this.uses === 1) this.shelf.putBack(this);
    else if (this.uses > 1) this.uses--;
    else throw new DoubleRelease(`a block of ${this.bytes.length} bytes was released, but nobody holds it`);
  }

  slice(start?: number, end?: number): Slice {
    this.retain();
    return new Slice(this, this.bytes.subarray(start, end));
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
