/** Gathers what is said of jobs at their end while one round trip is under way, and says it in the next. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settlement } from '../core/job.ts';
import type { PushEngine, PushLog } from './push-engine.ts';

/** As many as one call of the engine takes. */
const BATCH_MAX = 1_000;
/** Pauses between tries while the store is away. After them the leases end, and the jobs are done once more. */
const RETRY_PAUSES_MS = [100, 300, 1_000, 3_000, 5_000];

export class SettleBatch {
  readonly #queue: string;
  readonly #engine: Pick<PushEngine, 'settle'>;
  readonly #log: PushLog;
  #gathered: Settlement[] = [];
  #flushing: Promise<void> | undefined;

  constructor(options: { queue: string; engine: Pick<PushEngine, 'settle'>; log: PushLog }) {
    this.#queue = options.queue;
    this.#engine = options.engine;
    this.#log = options.log;
  }

  add(settlement: Settlement): void {
    this.#gathered.push(settlement);
    this.#flushing ??= this.#flush();
  }

  /** Resolves when all that was added has been said, or given up. */
  async idle(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  async #flush(): Promise<void> {
    // Answers that came in the same turn of the event loop go along.
    await new Promise(setImmediate);
    while (this.#gathered.length > 0) await this.#settle(this.#gathered.splice(0, BATCH_MAX));
    this.#flushing = undefined;
  }

  async #settle(settlements: readonly Settlement[]): Promise<void> {
    for (const pauseMs of [...RETRY_PAUSES_MS, undefined]) {
      try {
        const settled = await this.#engine.settle(this.#queue, settlements);
        const lost = settled.filter((one) => 'refused' in one).length;
        if (lost > 0) this.#log.warn('leases were lost before their calls had ended', { queue: this.#queue, lost });
        return;
      } catch (error) {
        const fields = { queue: this.#queue, jobs: settlements.length, error: String(error) };
        if (pauseMs === undefined) return this.#log.warn('calls were answered, but that could not be kept', fields);
        await sleep(pauseMs);
      }
    }
  }
}
