export { Arena, type ArenaOptions, type ArenaStats } from './arena.ts';
export { type Block, Slice } from './block.ts';
export { BlockPool, type BlockPoolOptions, type PoolStats } from './block-pool.ts';
export {
  DoubleRelease,
  ForeignBlock,
  PoolError,
  PoolExhausted,
  type PoolFigures,
  UseAfterRelease,
  WriteAfterRelease,
} from './pool-errors.ts';
export {
  SharedBlockPool,
  type SharedBlockPoolHandle,
  type SharedBlockPoolOptions,
} from './shared-block-pool.ts';
export { SlabPool, type SlabPoolOptions, type SlabPoolStats } from './slab-pool.ts';
export type { WaitOptions } from './waiters.ts';
export type { Leak } from './watch.ts';
