/**
 * Start in order, stop in exactly the reverse order, each step logged with its milliseconds.
 *
 * A step is a pair: what is done when the service starts, what is undone when it stops. A start that fails undoes the
 * steps before it. A stop that takes too long fails by the name of the step it hangs in.
 */
import type { Log } from './kit.ts';

type Undo = () => Promise<void> | void;

/** A stop took longer than it may. */
export class StopTimeout extends Error {
  override name = 'StopTimeout';
  readonly step: string;

  constructor(step: string, timeoutMs: number) {
    super(`stopping took longer than ${timeoutMs} ms; it hangs in: ${step}`);
    this.step = step;
  }
}

export class Life {
  readonly #log: Log;
  readonly #undo: { name: string; undo: Undo }[] = [];
  #step = 'nothing';

  constructor(log: Log) {
    this.#log = log;
  }

  /**
   * Does one step of the start.
   *
   * @param undo - Gets what `begin` gave, and runs when the service stops.
   */
  async step<T>(name: string, begin: () => Promise<T> | T, undo?: (made: T) => Promise<void> | void): Promise<T> {
    const startedMs = performance.now();
    const made = await begin();
    if (undo) this.#undo.push({ name, undo: () => undo(made) });
    this.#log.debug(`started ${name}`, { ms: since(startedMs) });
    return made;
  }

  /**
   * Undoes all steps, last first. A step that fails is logged and does not keep the others from being undone.
   *
   * @throws StopTimeout when that takes longer than `timeoutMs`; the first failure of a step, once all are undone.
   */
  async stop(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new StopTimeout(this.#step, timeoutMs)), timeoutMs);
    });
    try {
      await Promise.race([this.#undoAll(), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #undoAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let last = this.#undo.pop(); last; last = this.#undo.pop()) {
      const startedMs = performance.now();
      this.#step = last.name;
      try {
        await last.undo();
        this.#log.debug(`stopped ${last.name}`, { ms: since(startedMs) });
      } catch (error) {
        failures.push(error);
        this.#log.error(`could not stop ${last.name}`, { ms: since(startedMs), error });
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

function since(startedMs: number): number {
  return Math.round((performance.now() - startedMs) * 10) / 10;
}
