/** What can go wrong with a pool. All have a `code`, for callers that do not want to compare classes. */
export class PoolError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** What a pool held at the moment when it could not give a block. */
export interface PoolFigures {
  /** The block that was asked for, in bytes. */
  blockBytes: number;
  /** Blocks that the pool may have, and how many of them are held. */
  blocksMax: number;
  inUse: number;
  /** Calls of `acquireLater` that wait for a block. */
  waiting: number;
}

/** No block is free, and the pool may not grow. Nothing was taken: try again when others have released. */
export class PoolExhausted extends PoolError {
  readonly figures: PoolFigures;

  constructor(why: string, figures: PoolFigures, options?: ErrorOptions) {
    const { blockBytes, blocksMax, inUse, waiting } = figures;
    const held = `${inUse} of ${blocksMax} blocks of ${blockBytes} bytes are held, ${waiting} callers wait`;
    super('POOL_EXHAUSTED', `${why}: ${held}`, options);
    this.figures = figures;
  }
}

/** A block, or a slice, was released more often than it was acquired and retained. The pool is unharmed. */
export class DoubleRelease extends PoolError {
  constructor(message: string) {
    super('DOUBLE_RELEASE', message);
  }
}

/** A handle was used after its release. */
export class UseAfterRelease extends PoolError {
  constructor(message: string) {
    super('USE_AFTER_RELEASE', message);
  }
}

/** Debug mode: the bytes of a free block were changed by somebody who had released it. */
export class WriteAfterRelease extends PoolError {
  constructor(message: string) {
    super('WRITE_AFTER_RELEASE', message);
  }
}

/** A block, or bytes, that are not of this pool, or not held by this thread. */
export class ForeignBlock extends PoolError {
  constructor(message: string) {
    super('FOREIGN_BLOCK', message);
  }
}
