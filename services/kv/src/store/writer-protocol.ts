/** What the main thread and the writer thread say to each other. Apart from both, because to import the writer is to run it. */
import type { EffectChunk } from './effect-format.ts';
import type { LogPosition } from './store.ts';

export interface WriterData {
  file: string;
  mapSizeBytes: number;
  /** One word of shared memory: BUSY from before an order is sent until its transaction is over, then IDLE. */
  state: Int32Array<SharedArrayBuffer>;
}

export const IDLE = 0;
export const BUSY = 1;

/** To the writer: one checkpoint, or null to close. */
export type WriterOrder = { chunks: EffectChunk[]; position: LogPosition } | null;

/** From the writer: null when the checkpoint is on disk, otherwise why it did not happen. */
export type WriterAnswer = { message: string; code: number } | null;
