/**
 * What the contests of one run have in common: the stage, and every server and driver that some contest needs, each
 * started when the first one asks for it. Who cannot be had is noted and left out, in plain sight.
 */
import { ProgramMissing, type Progress } from './program.ts';
import type { Stage } from './stage.ts';

/** Opponents that could not take part, and why. */
export interface Absence {
  name: string;
  reason: string;
}

/** One a run. */
export class BenchArena implements AsyncDisposable {
  readonly stage: Stage;
  readonly progress: Progress;
  readonly absent: Absence[] = [];
  readonly #started = new Map<string, Promise<unknown>>();
  readonly #deferred: (() => Promise<void> | void)[] = [];

  constructor(stage: Stage, progress: Progress) {
    this.stage = stage;
    this.progress = progress;
  }

  /** Starts something the first time it is asked for, and gives the same to all who ask later. */
  once<T>(name: string, start: () => Promise<T>): Promise<T> {
    const known = this.#started.get(name) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const started = start();
    this.#started.set(name, started);
    return started;
  }

  /**
   * Lets someone take part, unless a program is missing. Any other error ends the run.
   * @returns One or none, for a list of contenders.
   */
  async unlessMissing<T>(name: string, enter: () => Promise<T>): Promise<T[]> {
    try {
      return [await enter()];
    } catch (error) {
      if (!(error instanceof ProgramMissing)) throw error;
      if (!this.absent.some((absence) => absence.name === name)) this.absent.push({ name, reason: error.message });
      return [];
    }
  }

  /** Has something done when the run ends; the last one first. */
  defer(work: () => Promise<void> | void): void {
    this.#deferred.unshift(work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const work of this.#deferred) await work();
  }
}
