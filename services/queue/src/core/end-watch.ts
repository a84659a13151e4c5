/** Those who wait for the ends of jobs. */
import type { JobView } from './job.ts';
import { isEnd } from './job-event.ts';
import type { Patience } from './waiting-line.ts';

export interface EndWatchOptions {
  get(queue: string, id: string): Promise<JobView | undefined>;
  /** Tells of ends on other replicas, while somebody waits for one of this queue. @returns Ends it. */
  watch(queue: string, ended: (id: string) => void): () => void;
}

/** What no event tells of is found so late at the most. */
const POLL_MS = 2_000;

interface QueueWatch {
  readonly wakers: Map<string, Set<() => void>>;
  stop(): void;
}

export class EndWatch {
  readonly #options: EndWatchOptions;
  readonly #queues = new Map<string, QueueWatch>();
  #isClosed = false;

  constructor(options: EndWatchOptions) {
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#queues.size === 0;
  }

  /** The job when it has ended, or as it is when patience ends. Undefined: there is none. */
  async wait(queue: string, id: string, { waitMs, signal }: Patience): Promise<JobView | undefined> {
    let isOver = waitMs <= 0;
    let wake = () => {};
    const end = () => {
      isOver = true;
      wake();
    };
    const timer = setTimeout(end, waitMs);
    signal.addEventListener('abort', end, { once: true });
    // Heard from before the first look, so that no end falls between the two.
    const deafen = this.#hear(queue, id, () => wake());
    try {
      for (;;) {
        const heard = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const view = await this.#options.get(queue, id);
        if (view === undefined || isEnd(view.state) || isOver || signal.aborted || this.#isClosed) return view;
        const poll = setTimeout(() => wake(), POLL_MS);
        await heard;
        clearTimeout(poll);
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      deafen();
    }
  }

  ended(queue: string, id: string): void {
    for (const wake of this.#queues.get(queue)?.wakers.get(id) ?? []) wake();
  }

  /** Everybody gets the job as it is now. */
  close(): void {
    this.#isClosed = true;
    for (const { wakers } of this.#queues.values()) for (const set of wakers.values()) for (const wake of set) wake();
  }

  #hear(queue: string, id: string, wake: () => void): () => void {
    let watched = this.#queues.get(queue);
    if (watched === undefined) {
      const stop = this.#options.watch(queue, (ended) => this.ended(queue, ended));
      watched = { wakers: new Map(), stop };
      this.#queues.set(queue, watched);
    }
    const { wakers } = watched;
    const set = wakers.get(id) ?? new Set();
    wakers.set(id, set.add(wake));
    return () => {
      set.delete(wake);
      if (set.size === 0 && wakers.get(id) === set) wakers.delete(id);
      if (wakers.size > 0 || this.#queues.get(queue) !== watched) return;
      watched.stop();
      this.#queues.delete(queue);
    };
  }
}
