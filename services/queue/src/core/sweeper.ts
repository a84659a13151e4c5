/**
 * Looks at all queues in turn: what no timer knows of (a replica that is gone had the timers, the store was away, its
 * clock was set) is done a sweep later at the latest.
 */
import type { QueueStats } from '../store/lane.ts';
import type { QueueDefinition } from './queue-definition.ts';

export interface SweeperOptions {
  list(): Promise<QueueDefinition[]>;
  tick(queue: string): Promise<void>;
  stats(queue: string): Promise<QueueStats>;
  /** Nothing has happened here to this queue for a while. */
  isQuiet(queue: string): boolean;
  /** Why the store cannot be asked. */
  notReady(): string | undefined;
  /** The store is there again: all who wait may look. */
  onBack(): void;
  random(): number;
  report(what: string, queue: string, error: unknown): void;
}

const SWEEP_MS = 1_000;
/** Replicas started together shall not sweep together. */
const JITTER = 0.2;
/** Quiet queues are looked at with every so-manieth sweep; so are the figures of all. */
const RARELY = 5;
const AT_ONCE = 8;
/** Queues whose depths are shown to Prometheus: a label must not have endless values. */
export const SHOWN_MAX = 200;

export class Sweeper {
  readonly #options: SweeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #sweeps = 0;
  #wasAway = false;
  #isStopped = false;
  #running: Promise<void> = Promise.resolve();
  #shown: ReadonlyMap<string, QueueStats> = new Map();

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** Depths of the first queues by name, some seconds old. */
  get shown(): ReadonlyMap<string, QueueStats> {
    return this.#shown;
  }

  start(): void {
    if (this.#isStopped) return;
    const jitter = 1 + JITTER * (this.#options.random() - 0.5);
    this.#timer = setTimeout(() => {
      this.#running = this.#sweep().finally(() => this.start());
    }, SWEEP_MS * jitter);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #sweep(): Promise<void> {
    const isAway = this.#options.notReady() !== undefined;
    const isBack = this.#wasAway && !isAway;
    this.#wasAway = isAway;
    if (isAway) return;
    if (isBack) this.#options.onBack();
    try {
      await this.#look(await this.#options.list(), isBack);
    } catch (error) {
      this.#options.report('a sweep', '', error);
    }
  }

  async #look(definitions: readonly QueueDefinition[], isBack: boolean): Promise<void> {
    const isThorough = isBack || this.#sweeps % RARELY === 0;
    this.#sweeps += 1;
    const queues = definitions.map(({ queue }) => queue).sort();
    const due = isThorough ? queues : queues.filter((queue) => !this.#options.isQuiet(queue));
    for (let from = 0; from < due.length && !this.#isStopped; from += AT_ONCE)
      await Promise.all(due.slice(from, from + AT_ONCE).map((queue) => this.#options.tick(queue)));
    if (isThorough) await this.#count(queues.slice(0, SHOWN_MAX));
  }

  async #count(queues: readonly string[]): Promise<void> {
    const shown = new Map<string, QueueStats>();
    for (const queue of queues) {
      if (this.#isStopped) return;
      try {
        shown.set(queue, await this.#options.stats(queue));
      } catch (error) {
        this.#options.report('counting jobs', queue, error);
      }
    }
    this.#shown = shown;
  }
}
