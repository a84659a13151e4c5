/** The arena of queues: its drivers lie in this folder. */
import { fileURLToPath } from 'node:url';
import { BenchArena } from '../arena.ts';
import { type Driver, startDriver } from '../driver.ts';
import type { QueueDriver, QueueEffort, QueueTask } from './task.ts';

export class Arena extends BenchArena {
  /** Starts a driver that lives as long as the run. @param name - Of a file in this folder. */
  async driver(name: string, words: readonly string[]): Promise<QueueDriver> {
    return this.untilEnd(await startDriver<QueueTask, QueueEffort>(fileOf(name), words));
  }

  /** Has a driver stopped when the run ends. */
  untilEnd<T, E>(driver: Driver<T, E>): Driver<T, E> {
    this.defer(() => driver.stop());
    return driver;
  }
}

/** A file of this folder that runs as a process of its own. */
export function fileOf(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}
