/**
 * A pool of threads for handlers that compute: the main thread stays free, and a handler that crashes takes its thread
 * with it and nothing else. A thread runs one job at a time; it is made when it is first needed, and kept.
 */
import { Worker as Thread } from 'node:worker_threads';
import { type ErrorFacts, errorOfFacts, ProcessorCrash } from './errors.ts';
import type { HeldJob } from './job.ts';
import type { SandboxOptions } from './settings.ts';

/** What a thread needs to know of a job. */
export interface SandboxJob {
  id: string;
  queue: string;
  name: string;
  data: unknown;
  attempt: number;
  attempts: number;
  stalls: number;
  group: string;
  tags: readonly string[];
  token: string;
  enqueuedAtMs: number;
  deadlineMs: number | undefined;
}
export type SandboxOrder = { run: SandboxJob } | { abort: ErrorFacts };
export type SandboxAnswer =
  | { ready: true }
  | { progress: unknown }
  | { log: string }
  | { result: unknown }
  | { error: ErrorFacts };

const GRACE_MS = 1_000;

interface Cell {
  thread: Thread;
  /** What to do with what the thread says, while it has a job. */
  answer?: ((answer: SandboxAnswer) => void) | undefined;
  crash?: ((reason: Error) => void) | undefined;
  /** The last error that the thread did not catch: why it ended. */
  error?: Error;
}

export class Sandbox {
  readonly #processor: URL;
  readonly #options: SandboxOptions;
  readonly #idle: Cell[] = [];
  readonly #cells = new Set<Cell>();

  constructor(processor: URL, options: SandboxOptions = {}) {
    this.#processor = processor;
    this.#options = options;
  }

  /**
   * Runs a job in a thread. As many threads as are asked for at a time: the worker's `concurrency` bounds them.
   *
   * @throws What the handler throws; `ProcessorCrash` when its thread ended; the signal's reason when it was aborted
   * and the handler did not end by itself within the grace.
   */
  async run(job: HeldJob): Promise<unknown> {
    const cell = this.#idle.pop() ?? this.#open();
    const { signal } = job;
    const onAbort = () => this.#abort(cell, signal.reason);
    try {
      const outcome = new Promise<unknown>((resolve, reject) => {
        cell.crash = reject;
        cell.answer = (answer) => {
          if ('result' in answer) resolve(answer.result);
          else if ('error' in answer) reject(errorOfFacts(answer.error));
          else if ('progress' in answer) job.progress(answer.progress);
          else if ('log' in answer) job.log(answer.log);
        };
      });
      cell.thread.postMessage({ run: sandboxJobOf(job) } satisfies SandboxOrder);
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      return await outcome;
    } finally {
      signal.removeEventListener('abort', onAbort);
      cell.answer = undefined;
      cell.crash = undefined;
      if (this.#cells.has(cell)) this.#idle.push(cell);
    }
  }

  /** Ends all threads, whatever they do. */
  async close(): Promise<void> {
    await Promise.all([...this.#cells].map(({ thread }) => thread.terminate()));
  }

  #open(): Cell {
    const thread = new Thread(new URL('./sandbox-thread.ts', import.meta.url), {
      workerData: { processor: this.#processor.href },
      resourceLimits: this.#options.resourceLimits,
    });
    const cell: Cell = { thread };
    this.#cells.add(cell);
    thread.on('message', (answer: SandboxAnswer) => cell.answer?.(answer));
    thread.on('messageerror', (error) => cell.crash?.(error));
    thread.on('error', (error) => {
      cell.error = error as Error;
    });
    thread.once('exit', (code) => this.#buried(cell, code));
    return cell;
  }

  #buried(cell: Cell, code: number): void {
    this.#cells.delete(cell);
    const at = this.#idle.indexOf(cell);
    if (at >= 0) this.#idle.splice(at, 1);
    const why = cell.error?.message ?? `it exited with code ${code}`;
    cell.crash?.(new ProcessorCrash(`the processor's thread ended: ${why}`, { cause: cell.error }));
  }

  /** The handler is told; if it goes on, its thread is ended. */
  #abort(cell: Cell, reason: Error): void {
    const { name, message } = reason;
    cell.thread.postMessage({ abort: { type: name, message } } satisfies SandboxOrder);
    const { crash } = cell;
    setTimeout(() => {
      if (cell.crash !== crash) return;
      crash?.(reason);
      this.#cells.delete(cell);
      void cell.thread.terminate();
    }, this.#options.graceMs ?? GRACE_MS).unref();
  }
}

function sandboxJobOf(job: HeldJob): SandboxJob {
  const { id, queue, name, data, attempt, attempts, stalls, group, tags, token, leased, deadline } = job;
  const times = { enqueuedAtMs: leased.enqueuedAtMs, deadlineMs: deadline?.getTime() };
  return { id, queue, name, data, attempt, attempts, stalls, group, tags, token, ...times };
}
