/** Worker processes, of which some are killed and replaced. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ProcessUnderTest, runProcess, type SeededRandom } from '@plinth/testkit';
import type { WorkerSettings } from './worker-main.ts';

const MAIN = new URL('./worker-main.ts', import.meta.url);

export class Fleet {
  readonly #settings: WorkerSettings;
  #workers: ProcessUnderTest[] = [];
  /** Workers that were killed, by us or by what they did. */
  kills = 0;

  private constructor(settings: WorkerSettings) {
    this.#settings = settings;
  }

  static async start(settings: WorkerSettings, size: number): Promise<Fleet> {
    const fleet = new Fleet(settings);
    await Promise.all(Array.from({ length: size }, () => fleet.#hire()));
    return fleet;
  }

  get workers(): readonly ProcessUnderTest[] {
    return this.#workers;
  }

  /** Kills a random worker at each interval, and hires another in its place, until the work is done. */
  async decimate(options: { random: SeededRandom; everyMs: number; until: Promise<unknown> }): Promise<void> {
    let isOver = false;
    const over = options.until.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      await Promise.race([sleep(options.everyMs), over]);
      if (isOver) break;
      const victim = options.random.pick(this.#workers);
      this.#workers = this.#workers.filter((worker) => worker !== victim);
      await victim.kill();
      this.kills++;
      await this.#hire();
    }
    await over;
  }

  /** Replaces workers that died by themselves, until the work is done. */
  async replaceDead(until: Promise<unknown>): Promise<void> {
    let isOver = false;
    const over = until.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const ended = Promise.race(this.#workers.map((worker) => worker.exited.then(() => worker)));
      const dead = await Promise.race([ended, over.then(() => undefined)]);
      if (dead === undefined) break;
      this.#workers = this.#workers.filter((worker) => worker !== dead);
      this.kills++;
      await this.#hire();
    }
    await over;
  }

  /** SIGTERM to all at once. @returns Their exit codes. */
  stop(): Promise<(number | null)[]> {
    return Promise.all(
      this.#workers.splice(0).map(async (worker) => {
        worker.child.kill('SIGTERM');
        return (await worker.exited).code;
      }),
    );
  }

  async #hire(): Promise<void> {
    const worker = runProcess({ script: MAIN, args: [JSON.stringify(this.#settings)] });
    this.#workers.push(worker);
    await worker.waitForLine(/^ready$/, 60_000);
  }
}
