/** The arena of limiters: their doors are checked, and their drivers lie in this folder. */
import { BenchArena } from '../arena.ts';
import { type Driver, startDriver, type Task } from '../driver.ts';
import { assertAdmitsTen, type Door } from './door.ts';
import { nodeFile } from './node-file.ts';

/** What one slot of a driver came to. */
export interface Effort {
  decisions: number;
  elapsedMs: number;
  p50Ms?: number;
  p99Ms?: number;
  /** Of what was measured for memory instead of speed. */
  bytesPerKey?: number;
}

export type LimiterDriver = Driver<Task, Effort>;

export class Arena extends BenchArena {
  /** Checks a door once, however many contests go through it. */
  check(door: Door): Promise<void> {
    return this.once(`check of ${door.name}`, async () => {
      await assertAdmitsTen(door);
      this.progress(`${door.name}: admits ten of ten, and no more`);
    });
  }

  /** Starts a driver that lives as long as the run. @param name - Of a file in this folder. */
  async driver(name: string, words: readonly string[], flags: string[] = []): Promise<LimiterDriver> {
    const driver = await startDriver<Task, Effort>(nodeFile(name), words, flags);
    this.defer(() => driver.stop());
    return driver;
  }
}
