/**
 * The main thread's end of the writer thread: starts it at the first checkpoint, hands it one at a time, and turns its
 * answers and its death into a promise.
 *
 * Exit. When a process exits, Node stops its threads wherever they are. A thread stopped inside an LMDB transaction
 * never ends: lmdb-js's clean-up takes a mutex that the same thread still holds, and the process hangs in its exit
 * (`EnvWrap::cleanupStrayTxns`, lmdb-js 3.5.6; seen with `process.exit` and with an uncaught error). So the exit waits
 * for the transaction first. This may go when `beginTxn`'s lock is released by `closeEnv`.
 */
import { once } from 'node:events';
import { statfs } from 'node:fs/promises';
import { getCompileCacheDir } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { EffectChunk } from './effect-format.ts';
import type { LogPosition } from './store.ts';
import { BUSY, IDLE, type WriterAnswer, type WriterData, type WriterOrder } from './writer-protocol.ts';

/** Starts the thread; a test puts its own here to kill it. */
export type StartWriter = (data: WriterData) => Worker;

/**
 * The thread's own objects live for one effect each, so a small young generation is enough and keeps its resident size
 * down, see the rows "rss" of `lmdb-store.bench.ts`. The old generation has no limit: reaching it would stop the thread.
 */
const WRITER_LIMITS = { maxYoungGenerationSizeMb: 2 };

/** How long an exit waits for a transaction. Longer than any disk that still works takes for one checkpoint. */
const EXIT_WAIT_MS_MAX = 60_000;

export const startWriter: StartWriter = (workerData) =>
  new Worker(new URL('./lmdb-writer.ts', import.meta.url), {
    workerData,
    name: 'lmdb-writer',
    // Flags of the main thread (jest's VM modules, inspectors) are none of the writer's business.
    execArgv: [],
    resourceLimits: WRITER_LIMITS,
    env: writerEnvironment(),
  });

/**
 * A compile cache that the main thread enabled by call is not inherited, only one in the environment is. Without it the
 * thread loads the stripper of types a second time, for 17 MB.
 */
function writerEnvironment(): NodeJS.ProcessEnv {
  const cache = getCompileCacheDir();
  return cache === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cache };
}

/** The checkpoint did not happen: the disk refused and the transaction was aborted. */
export class CheckpointRefused extends Error {
  /** An errno name (`ENOSPC`, `EIO`, `EFBIG`) or LMDB's own (`MDB_MAP_FULL`). */
  readonly code: string;

  constructor({ message, code }: { message: string; code: string }) {
    super(`the checkpoint was refused: ${message}`);
    this.code = code;
  }
}

/** The writer died: nobody knows whether the checkpoint happened, and LMDB's environment must be opened anew. */
export class WriterDied extends Error {
  readonly code = 'WRITER_DIED';
}

export class CheckpointWriter {
  readonly #data: WriterData;
  readonly #start: StartWriter;
  #worker: Worker | undefined;

  constructor(source: Omit<WriterData, 'state'>, start: StartWriter) {
    this.#data = { ...source, state: new Int32Array(new SharedArrayBuffer(4)) };
    this.#start = start;
  }

  /**
   * Makes effects and position durable as one transaction; the chunks are gone from this thread at once.
   *
   * @throws CheckpointRefused when it did not happen.
   * @throws WriterDied when it is unknown; the next call starts a new thread.
   */
  async write(order: { chunks: EffectChunk[]; position: LogPosition }): Promise<void> {
    Atomics.store(this.#data.state, 0, BUSY);
    this.#worker ??= this.#startWorker();
    const answered = answerOf(this.#worker);
    const memory = order.chunks.map((chunk) => chunk.memory);
    this.#worker.postMessage(order satisfies WriterOrder, memory);
    try {
      const answer = await answered;
      if (answer !== null) throw await this.#refusal(answer, order.chunks);
    } catch (error) {
      if (error instanceof WriterDied) this.#forgetWorker();
      throw error;
    }
  }

  /** Ends the thread, if there is one; not while `write` is under way. */
  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    const exited = once(worker, 'exit');
    worker.ref();
    worker.postMessage(null satisfies WriterOrder);
    await exited;
    this.#forgetWorker();
  }

  async #refusal({ message, code }: NonNullable<WriterAnswer>, chunks: EffectChunk[]): Promise<CheckpointRefused> {
    const name = nameOf({ message, code });
    // LMDB says EIO of a write that was cut short; on a disk without room for it, that was for want of room.
    const isFull = name === 'EIO' && (await freeBytes(this.#data.file)) < usedBytes(chunks);
    return new CheckpointRefused({ message, code: isFull ? 'ENOSPC' : name });
  }

  #startWorker(): Worker {
    process.on('exit', this.#waitForTransaction);
    return this.#start(this.#data);
  }

  #forgetWorker(): void {
    this.#worker = undefined;
    Atomics.store(this.#data.state, 0, IDLE);
    process.off('exit', this.#waitForTransaction);
  }

  /** If the disk hangs, being killed is better than hanging with it: the supervisor sees an end. */
  readonly #waitForTransaction = (): void => {
    const outcome = Atomics.wait(this.#data.state, 0, BUSY, EXIT_WAIT_MS_MAX);
    if (outcome === 'timed-out') process.kill(process.pid, 'SIGKILL');
  };
}

function nameOf({ message, code }: NonNullable<WriterAnswer>): string {
  return code > 0 ? getSystemErrorName(-code) : (/^MDB_\w+/.exec(message)?.[0] ?? 'MDB_ERROR');
}

async function freeBytes(file: string): Promise<number> {
  const { bavail, bsize } = await statfs(file);
  return bavail * bsize;
}

const usedBytes = (chunks: EffectChunk[]): number => chunks.reduce((sum, chunk) => sum + chunk.usedBytes, 0);

/** The next answer of a worker. While it is awaited the process stays alive; an idle writer does not keep it. */
async function answerOf(worker: Worker): Promise<WriterAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<WriterAnswer>();
  let cause: unknown;
  const onError = (error: unknown) => {
    cause = error;
  };
  // Only after `exit` has the thread let go of LMDB; `error` comes before it.
  const onExit = (code: number) => reject(new WriterDied(`the writer thread ended with code ${code}`, { cause }));
  worker.on('message', resolve).on('error', onError).on('exit', onExit).ref();
  try {
    return await promise;
  } finally {
    worker.off('message', resolve).off('error', onError).off('exit', onExit).unref();
  }
}
