import { markAsUntransferable } from 'node:worker_threads';
import { alignmentOf, integerWithin } from './options.ts';
import { PoolExhausted, UseAfterRelease } from './pool-errors.ts';

const CHUNK_BYTES_MAX = 2 ** 30;
const POISON = 0xdb;

export interface ArenaOptions {
  /** Memory of a chunk: what is taken lies in one of them, so nothing larger can be taken. */
  bytes: number;
  /** The most memory in all, in whole chunks. Default: one chunk. */
  bytesMax?: number;
  /** Everything taken starts at a multiple of this within its chunk: a power of two up to 4,096. Default 8. */
  alignment?: number;
  /** Overwrites at `reset` what was taken, so that an old view shows nonsense and not by chance the right thing. */
  debug?: boolean;
}

export interface ArenaStats {
  /** Memory of all chunks. */
  bytes: number;
  /** Bytes taken since the last reset, with what was left out to align them or to begin a new chunk. */
  inUse: number;
  /** The most that was ever in use. */
  highWater: number;
  /** Pieces taken, and those refused as the arena was full. */
  acquired: number;
  failed: number;
}

/**
 * Memory that is taken piece by piece and given back all at once: for what belongs to one request, one batch or one
 * parse. A piece is a number, its offset, until somebody wants to see its bytes: taking one allocates nothing.
 */
export class Arena {
  readonly bytesMax: number;
  readonly chunkBytes: number;
  readonly alignment: number;
  readonly #isDebug: boolean;
  readonly #chunks: Buffer[] = [];
  /** The chunk that is being filled, and how far. */
  #chunk = 0;
  #filled = 0;
  #highWater = 0;
  #acquired = 0;
  #failed = 0;
  #generation = 0;

  /** @throws RangeError that names the option which is out of range. */
  constructor({ bytes, bytesMax = bytes, alignment = 8, debug = false }: ArenaOptions) {
    this.alignment = alignmentOf(alignment);
    this.chunkBytes = integerWithin('bytes', bytes, 1, CHUNK_BYTES_MAX);
    this.bytesMax = integerWithin('bytesMax', bytesMax, bytes, Number.MAX_SAFE_INTEGER);
    this.#isDebug = debug;
  }

  /** Grows by one at each reset: offsets and views of an older generation are void. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Takes a piece.
   *
   * @param alignment - A power of two up to 4,096, where this piece needs another than the arena's.
   * @returns Its offset. The bytes are what an earlier generation left there; all 0 when there was none.
   * @throws RangeError when it is larger than a chunk, PoolExhausted when the arena is full; nothing is taken then.
   * Cost: a few additions; the first use of a chunk allocates it.
   */
  take(bytes: number, alignment = this.alignment): number {
    if ((bytes | 0) !== bytes || bytes < 0) integerWithin('bytes', bytes, 0, this.chunkBytes);
    if (alignment !== this.alignment) alignmentOf(alignment);
    const start = (this.#filled + alignment - 1) & -alignment;
    if (start + bytes > this.chunkBytes || this.#chunk === this.#chunks.length) return this.#takeFromNext(bytes);
    this.#filled = start + bytes;
    this.#acquired++;
    return this.#chunk * this.chunkBytes + start;
  }

  /**
   * The bytes of a piece, or a part of them.
   *
   * @param generation - When given, that of the time of `take`.
   * @throws UseAfterRelease when the arena was reset since; RangeError when it was not taken.
   * Cost: one view.
   */
  view(offset: number, bytes: number, generation = this.#generation): Buffer {
    if (generation !== this.#generation) {
      throw new UseAfterRelease(`a piece of generation ${generation} was used in generation ${this.#generation}`);
    }
    const chunk = Math.floor(offset / this.chunkBytes);
    const start = offset - chunk * this.chunkBytes;
    const filled = chunk < this.#chunk ? this.chunkBytes : chunk === this.#chunk ? this.#filled : 0;
    if (!(offset >= 0 && bytes >= 0 && start + bytes <= filled)) {
      throw new RangeError(`${bytes} bytes at ${offset} were not taken`);
    }
    // No bytes at the very end of a full chunk are at the start of one that is not there yet.
    return this.#chunks[chunk]?.subarray(start, start + bytes) ?? Buffer.alloc(0);
  }

  /** Takes a piece and shows its bytes. */
  buffer(bytes: number, alignment = this.alignment): Buffer {
    return this.view(this.take(bytes, alignment), bytes);
  }

  /** Gives all pieces back; the memory stays for the next ones. Cost: nothing per piece. */
  reset(): void {
    this.#noteHighWater();
    if (this.#isDebug) for (const chunk of this.#chunks.slice(0, this.#chunk + 1)) chunk.fill(POISON);
    this.#chunk = 0;
    this.#filled = 0;
    this.#generation++;
  }

  /** Lets go of chunks in which nothing is taken. @returns Bytes that the runtime may free when no view is left. */
  trim(): number {
    const used = this.#inUse === 0 ? 0 : this.#chunk + 1;
    return this.#chunks.splice(used).length * this.chunkBytes;
  }

  stats(): ArenaStats {
    this.#noteHighWater();
    return {
      bytes: this.#chunks.length * this.chunkBytes,
      inUse: this.#inUse,
      highWater: this.#highWater,
      acquired: this.#acquired,
      failed: this.#failed,
    };
  }

  get #inUse(): number {
    return this.#chunk * this.chunkBytes + this.#filled;
  }

  #noteHighWater(): void {
    this.#highWater = Math.max(this.#highWater, this.#inUse);
  }

  /** The piece begins a chunk, where everything is aligned. */
  #takeFromNext(bytes: number): number {
    integerWithin('bytes', bytes, 0, this.chunkBytes);
    const chunk = this.#inUse === 0 ? 0 : this.#chunk + 1;
    if (chunk === this.#chunks.length) this.#chunks.push(this.#newChunk(bytes));
    this.#chunk = chunk;
    this.#filled = bytes;
    this.#acquired++;
    return chunk * this.chunkBytes;
  }

  #newChunk(bytes: number): Buffer {
    const { chunkBytes, bytesMax } = this;
    const blocksMax = Math.floor(bytesMax / chunkBytes);
    const refuse = (why: string, cause?: unknown) => {
      this.#failed++;
      const figures = { blockBytes: chunkBytes, blocksMax, inUse: this.#chunks.length, waiting: 0 };
      return new PoolExhausted(`${why} for ${bytes} bytes more`, figures, { cause });
    };
    if (this.#chunks.length >= blocksMax) throw refuse('the arena has no room');
    try {
      const memory = new ArrayBuffer(chunkBytes);
      markAsUntransferable(memory);
      return Buffer.from(memory);
    } catch (cause) {
      throw refuse('the system has no memory', cause);
    }
  }
}
