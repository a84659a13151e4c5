/**
 * The debug mode of a pool: who holds which block and since when, who touched one after giving it back, and which
 * handles were forgotten. Each time a block is handed out it gets a handle of its own, which its release makes useless,
 * so that an old handle can never be mistaken for that of the next holder. Costs microseconds a block.
 */
import { type Block, type PooledBlock, Slice } from './block.ts';
import { DoubleRelease, UseAfterRelease, WriteAfterRelease } from './pool-errors.ts';

/** What free memory is filled with. As a length or an offset it is absurd, and it is no valid UTF-8. */
const POISON = 0xdb;

/** A block that is held. */
export interface Leak {
  blockBytes: number;
  /** When it was acquired, in milliseconds since 1970, and where. */
  sinceMs: number;
  acquiredAt: string;
  /** Nobody can release it any more: its handle was garbage-collected. */
  isLost: boolean;
}

/** One holding of a block. The handle refers to it, never the other way round, so that a forgotten handle can go. */
interface Holding {
  readonly block: PooledBlock;
  readonly sinceMs: number;
  readonly acquiredAt: Trace;
  releasedAt: Trace | undefined;
  handle: WeakRef<WatchedBlock> | undefined;
  uses: number;
  isLost: boolean;
}

/** A stack that becomes a text only when somebody reads it. */
type Trace = { stack?: string };

function traceOf(above: (...args: never[]) => unknown): Trace {
  const trace: Trace = {};
  Error.captureStackTrace(trace, above);
  return trace;
}

const textOf = (trace: Trace | undefined): string => trace?.stack?.replace(/^.*\n/, '') ?? '    at an unknown place';

export class Watch {
  readonly #held = new Map<PooledBlock, Holding>();
  /** Of free blocks: their last holding. */
  readonly #past = new WeakMap<PooledBlock, Holding>();
  /** As long as somebody has the bytes, the handle is not lost: `blockOf` finds it. */
  readonly #handles = new WeakMap<Buffer, WatchedBlock>();
  readonly #forgotten: FinalizationRegistry<Holding>;
  readonly #now: () => number;
  /** What a free block looks like: to compare is many times faster than to look at each byte. */
  readonly #clean: Buffer;

  constructor(blockBytes: number, onLeak: (leak: Leak) => void, now: () => number) {
    this.#clean = Buffer.alloc(blockBytes, POISON);
    this.#now = now;
    this.#forgotten = new FinalizationRegistry((holding) => {
      if (holding.uses === 0) return;
      holding.isLost = true;
      onLeak(leakOf(holding));
    });
  }

  poison(block: PooledBlock): void {
    block.bytes.fill(POISON);
  }

  /** @throws WriteAfterRelease when the block is not as it was left; it is then free, and as new. */
  handOut(block: PooledBlock, caller: (...args: never[]) => unknown): Block {
    this.#check(block);
    const acquiredAt = traceOf(caller);
    const holding: Holding = {
      block,
      sinceMs: this.#now(),
      acquiredAt,
      releasedAt: undefined,
      handle: undefined,
      uses: 1,
      isLost: false,
    };
    this.#held.set(block, holding);
    return this.#handleOf(holding);
  }

  /** The handle of a block that is held. */
  handle(block: PooledBlock): Block {
    const holding = this.#held.get(block)!;
    return holding.handle?.deref() ?? this.#handleOf(holding);
  }

  leaks(): Leak[] {
    return [...this.#held.values()].map(leakOf);
  }

  /** Takes a block back from its handle. */
  end(holding: Holding): void {
    this.#held.delete(holding.block);
    this.#past.set(holding.block, holding);
    this.poison(holding.block);
    holding.block.release();
  }

  #handleOf(holding: Holding): WatchedBlock {
    const bytes = Buffer.from(holding.block.bytes.buffer, holding.block.bytes.byteOffset, holding.block.bytes.length);
    const handle = new WatchedBlock(this, holding, bytes);
    holding.handle = new WeakRef(handle);
    this.#handles.set(bytes, handle);
    this.#forgotten.register(handle, holding, handle);
    return handle;
  }

  #check(block: PooledBlock): void {
    if (block.bytes.equals(this.#clean)) return;
    const at = block.bytes.findIndex((byte) => byte !== POISON);
    const past = this.#past.get(block);
    this.poison(block);
    block.release();
    const released = past === undefined ? 'It was never handed out.' : `Released:\n${textOf(past.releasedAt)}`;
    const acquired = past === undefined ? '' : `\nAcquired:\n${textOf(past.acquiredAt)}`;
    throw new WriteAfterRelease(`byte ${at} of a free block was written. ${released}${acquired}`);
  }
}

function leakOf({ block, sinceMs, acquiredAt, isLost }: Holding): Leak {
  return { blockBytes: block.bytes.length, sinceMs, acquiredAt: textOf(acquiredAt), isLost };
}

/** A handle for one holding. */
export class WatchedBlock implements Block {
  readonly #watch: Watch;
  readonly #holding: Holding;
  readonly #bytes: Buffer;

  constructor(watch: Watch, holding: Holding, bytes: Buffer) {
    this.#watch = watch;
    this.#holding = holding;
    this.#bytes = bytes;
  }

  get uses(): number {
    return this.#holding.uses;
  }

  get bytes(): Buffer {
    if (this.#holding.uses === 0) throw new UseAfterRelease(this.#story('was used'));
    return this.#bytes;
  }

  retain(): Block {
    if (this.#holding.uses === 0) throw new UseAfterRelease(this.#story('was retained'));
    this.#holding.uses++;
    return this;
  }

  release(): void {
    const holding = this.#holding;
    if (holding.uses === 0) throw new DoubleRelease(this.#story('was released again'));
    if (--holding.uses > 0) return;
    holding.releasedAt = traceOf(this.release);
    this.#watch.end(holding);
  }

  slice(start?: number, end?: number): Slice {
    const bytes = this.bytes.subarray(start, end);
    return new Slice(this.retain(), bytes);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** The place in the pool, for the pool. */
  get block(): PooledBlock {
    return this.#holding.block;
  }

  #story(what: string): string {
    const { acquiredAt, releasedAt } = this.#holding;
    return `a block ${what} after its release. Released:\n${textOf(releasedAt)}\nAcquired:\n${textOf(acquiredAt)}`;
  }
}
