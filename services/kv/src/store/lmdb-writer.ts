/**
 * The writer thread of `lmdb-store.ts`: applies one checkpoint at a time, each as one durable LMDB transaction, and
 * answers when it is on disk. It imports LMDB and nothing else, because every module here is a second copy in memory.
 *
 * A transaction that fails is aborted and reported; the thread goes on. After an error that leaves the environment
 * itself in doubt the thread dies instead, and the store opens everything anew.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { applyEffects } from './effect-format.ts';
import { type LmdbEnv, openLmdbEnv, writePosition } from './lmdb-env.ts';
import { TABLES } from './store.ts';
import { IDLE, type WriterAnswer, type WriterData, type WriterOrder } from './writer-protocol.ts';

/** LMDB refuses to begin a transaction after a failed meta page: as MDB_PANIC, which lmdb-js turns into EINVAL. */
const FATAL_CODES = new Set([-30795, 22]);

const { state, ...source } = workerData as WriterData;
const port = parentPort!;
const env = openLmdbEnv(source);

port.on('message', (order: WriterOrder) => {
  if (order === null) closeWriter();
  else port.postMessage(answerTo(order));
});

function answerTo(order: NonNullable<WriterOrder>): WriterAnswer {
  try {
    apply(env, order);
    return null;
  } catch (error) {
    const { message, code } = error as { message: string; code: number };
    if (FATAL_CODES.has(code)) throw error;
    return { message, code };
  } finally {
    Atomics.store(state, 0, IDLE);
    Atomics.notify(state, 0);
    // Gives the memory back now; a thread that allocates this little may not collect garbage for hours.
    for (const { memory } of order.chunks) memory.transfer(0);
  }
}

/**
 * Table by table: LMDB gives new pages out in the order in which they are asked for, so those of one table come to lie
 * side by side. The system maps a file by the neighbourhood; listing a million keys, whose index would otherwise lie
 * strewn among the records, then keeps 50 MB of the file resident instead of all 240 MB (`bench/kv/list-memory.ts`).
 */
function apply(env: LmdbEnv, { chunks, position }: NonNullable<WriterOrder>): void {
  env.root.transactionSync(() => {
    for (const table of TABLES) {
      const target = env.tables[table];
      for (const chunk of chunks) applyEffects(chunk, table, target);
    }
    writePosition(env, position);
  });
}

function closeWriter(): void {
  void env.root.close();
  port.close();
}
