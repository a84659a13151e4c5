/** Progress and log lines of running jobs, gathered for a moment and sent along with a renewal. */
import type { HeldJob, News } from './job.ts';
import type { QueueDoor, Renewal, Renewed } from './queue-door.ts';

export interface NewsDeskOptions {
  door: Pick<QueueDoor, 'renew'>;
  leaseMs: number;
  /** What the service says of a job besides. */
  onRenewed(job: HeldJob, answer: Renewed): void;
  onTrouble(error: unknown): void;
}

/** Soon enough for somebody who looks on, and one call for all that is told in the meantime. */
const GATHER_MS = 200;
const NEWS_PER_CALL_MAX = 100;
const CALL_MS_MAX = 5_000;

export class NewsDesk {
  readonly #options: NewsDeskOptions;
  readonly #waiting = new Set<HeldJob>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NewsDeskOptions) {
    this.#options = options;
  }

  add(job: HeldJob): void {
    this.#waiting.add(job);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#sendAll();
    }, GATHER_MS);
  }

  /** Sends what a job has told so far: before it is settled, after which nothing more is taken. */
  async flush(job: HeldJob): Promise<void> {
    this.#waiting.delete(job);
    if (job.hasNews) await this.#send(job.queue, [job]);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  async #sendAll(): Promise<void> {
    const byQueue = Map.groupBy(this.#waiting, ({ queue }) => queue);
    this.#waiting.clear();
    const calls: Promise<void>[] = [];
    for (const [queue, jobs] of byQueue) {
      for (let at = 0; at < jobs.length; at += NEWS_PER_CALL_MAX) {
        calls.push(this.#send(queue, jobs.slice(at, at + NEWS_PER_CALL_MAX)));
      }
    }
    await Promise.all(calls);
  }

  async #send(queue: string, jobs: readonly HeldJob[]): Promise<void> {
    const { door, leaseMs, onRenewed, onTrouble } = this.#options;
    const told = jobs.flatMap((job) => {
      const news = job.takeNews();
      return news === undefined || job.state === 'gone' ? [] : [{ job, news }];
    });
    if (told.length === 0) return;
    try {
      const leases = told.map(({ job, news }) => renewalOf(job, news, leaseMs));
      const answers = await door.renew(queue, leases, { timeoutMs: CALL_MS_MAX });
      answers.forEach((answer, at) => void onRenewed(told[at]!.job, answer));
    } catch (error) {
      // It is for people who look on: not worth a repeat that could hold up the job's end.
      onTrouble(error);
    }
  }
}

function renewalOf({ id, token }: HeldJob, { hasProgress, progress, log }: News, leaseMs: number): Renewal {
  return { id, token, leaseMs, ...(hasProgress ? { progress } : {}), ...(log.length > 0 ? { log } : {}) };
}
