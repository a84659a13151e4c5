/**
 * The main thread's side of the heartbeat: gives it a pulse, tells it which jobs are held, and hears what it found out.
 *
 * Where the connection is an object of this thread, a bus that was handed in, the heartbeat runs here as well: then a
 * handler that blocks the thread for a lease's time loses it.
 */
import { Worker as Thread } from 'node:worker_threads';
import type { ApiKey, ClientOptions } from '@plinth/client';
import {
  type Drop,
  Heartbeat,
  type HeartbeatNote,
  type HeartbeatPlan,
  PULSE,
  PULSE_CELLS,
  type ThreadControl,
  type ThreadOrder,
  USED,
} from './heartbeat.ts';
import type { ThreadData } from './heartbeat-thread.ts';
import type { HeldBatch, HeldJob } from './job.ts';
import type { QueueDoor } from './queue-door.ts';

export interface PacemakerOptions {
  plan: HeartbeatPlan;
  /** Where the service is, for a connection of the thread's own; undefined: the heartbeat runs here, on `door`. */
  connection: ClientOptions | undefined;
  door: QueueDoor;
  note(note: HeartbeatNote): void;
  /** Called at each pulse, for what is to be done now and then. */
  onPulse(): void;
  usedCount(): number;
}

/** A key that is found by a function is found anew so often. */
const KEY_MS = 30_000;
const RESTART_MS = 500;
/** Long enough for a thread that is still loading its modules. */
const END_MS = 5_000;
/** Told before the next pulse when there are so many. */
const OVER_MAX = 100;

export class Pacemaker {
  readonly #options: PacemakerOptions;
  readonly #pulse = new Int32Array(new SharedArrayBuffer(PULSE_CELLS * Int32Array.BYTES_PER_ELEMENT));
  /** All that are held: what a new thread has to know. */
  readonly #batches = new Set<HeldBatch>();
  /** Batches of which nothing is held any more, and that the heartbeat does not know of yet. */
  #over: Drop[] = [];
  #batchNumber = 0;
  #thread: Thread | undefined;
  #local: Heartbeat | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #keyTicker: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: PacemakerOptions) {
    this.#options = options;
  }

  start(): void {
    const { connection, door, plan, note } = this.#options;
    const { maxBlockMs, leaseMs } = plan;
    this.#ticker = setInterval(() => this.#beatPulse(), Math.min(1_000, maxBlockMs / 8, leaseMs / 16));
    if (connection !== undefined) {
      this.#startThread(connection);
      return;
    }
    const random = Math.random;
    this.#local = new Heartbeat({ door, plan, pulse: this.#pulse, tell: note, now: () => performance.now(), random });
    this.#local.start();
  }

  /** From now on these are renewed. Told before their handlers begin, which may block the thread at once. */
  hold(queue: string, jobs: readonly HeldJob[]): void {
    const number = ++this.#batchNumber;
    const batch: HeldBatch = { number, queue, jobs: new Map(), dropped: [] };
    for (const job of jobs) {
      job.batch = batch;
      batch.jobs.set(job.token, job);
    }
    this.#batches.add(batch);
    this.#tell(holdOf(batch));
  }

  /** From now on it is not: it is settled, or gone. Told at the next pulse, which is soon enough. */
  drop(job: HeldJob): void {
    const { batch, token } = job;
    if (!batch?.jobs.delete(token)) return;
    if (batch.jobs.size > 0) {
      batch.dropped.push(token);
      return;
    }
    this.#batches.delete(batch);
    this.#over.push({ queue: batch.queue, batch: batch.number, tokens: '' });
    if (this.#over.length >= OVER_MAX) this.#tellDrops();
  }

  /** Looks through all batches: for what is rare. */
  find(queue: string, token: string): HeldJob | undefined {
    for (const batch of this.#batches) {
      const job = batch.queue === queue ? batch.jobs.get(token) : undefined;
      if (job !== undefined) return job;
    }
    return undefined;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#ticker);
    clearInterval(this.#keyTicker);
    this.#local?.stop();
    if (this.#thread !== undefined) await endOf(this.#thread);
  }

  #beatPulse(): void {
    Atomics.add(this.#pulse, PULSE, 1);
    Atomics.store(this.#pulse, USED, this.#options.usedCount());
    this.#tellDrops();
    this.#options.onPulse();
  }

  #tellDrops(): void {
    const drop = this.#over;
    this.#over = [];
    for (const { queue, number, dropped } of this.#batches) {
      if (dropped.length > 0) drop.push({ queue, batch: number, tokens: dropped.splice(0).join(' ') });
    }
    if (drop.length > 0) this.#tell({ drop });
  }

  #tell(order: ThreadOrder): void {
    if (this.#thread !== undefined) this.#thread.postMessage(order);
    else this.#local?.obey(order);
  }

  #startThread(connection: ClientOptions): void {
    if (this.#isStopped) return;
    const { apiKey, ...place } = connection as ClientOptions & { apiKey?: ApiKey };
    const workerData: ThreadData = {
      connection: place as ClientOptions,
      hasKey: apiKey !== undefined,
      plan: this.#options.plan,
      pulse: this.#pulse,
    };
    const thread = new Thread(new URL('./heartbeat-thread.ts', import.meta.url), { workerData });
    this.#thread = thread;
    thread.on('message', (note: HeartbeatNote) => this.#options.note(note));
    thread.on('error', (error) => this.#noteTrouble(error));
    thread.once('exit', () => this.#restart(connection, thread));
    for (const batch of this.#batches) this.#tell(holdOf(batch));
    if (apiKey !== undefined) this.#keepKey(apiKey);
  }

  /** Without it every lease would be lost in time, so a new one takes over. */
  #restart(connection: ClientOptions, thread: Thread): void {
    if (this.#isStopped || this.#thread !== thread) return;
    this.#thread = undefined;
    setTimeout(() => this.#startThread(connection), RESTART_MS);
  }

  #keepKey(apiKey: ApiKey): void {
    clearInterval(this.#keyTicker);
    const tell = async () => {
      const key = typeof apiKey === 'string' ? apiKey : await apiKey();
      this.#thread?.postMessage({ apiKey: key } satisfies ThreadControl);
    };
    const tryTell = () => void tell().catch((error) => this.#noteTrouble(error));
    if (typeof apiKey !== 'string') this.#keyTicker = setInterval(tryTell, KEY_MS);
    tryTell();
  }

  #noteTrouble(error: unknown): void {
    const { name = 'Error', message = String(error) } = error as Partial<Error>;
    this.#options.note({ type: 'trouble', call: 'renew', code: name, message, retryInMs: RESTART_MS });
  }
}

/**
 * The thread ends between two of its own steps. It is not terminated from outside, which would cut it off within
 * whatever native code it runs, unless it has not answered in time.
 */
async function endOf(thread: Thread): Promise<void> {
  if (thread.threadId === -1) return;
  const ended = new Promise((resolve) => thread.once('exit', resolve));
  const late = setTimeout(() => void thread.terminate(), END_MS);
  thread.postMessage({ end: true } satisfies ThreadControl);
  await ended;
  clearTimeout(late);
}

function holdOf({ number, queue, jobs }: HeldBatch): ThreadOrder {
  const words: string[] = [];
  for (const { token, id } of jobs.values()) words.push(token, id);
  return { hold: words.join(' '), queue, batch: number };
}
