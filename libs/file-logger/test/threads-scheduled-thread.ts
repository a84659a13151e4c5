/**
 * A thread of a ring whose every atomic operation waits for its turn: whoever gives the turns decides how the threads
 * interleave, and one that gets none any more is a thread that died at just that point.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { LineRing } from '../src/threads/ring.ts';
import { RingConsumer } from '../src/threads/ring-consumer.ts';
import type { RingHandle } from '../src/threads/ring-layout.ts';
import { RingProducer } from '../src/threads/ring-producer.ts';

/** Words of the table that the scheduler shares with its threads, `index * 8 +`. */
export const TURN = { state: 0, acknowledged: 1, thread: 2, isDead: 3, steps: 4 } as const;
export const STATE = { starting: 0, waits: 1, runs: 2, done: 3 } as const;

export interface ScheduledOrder {
  table: SharedArrayBuffer;
  index: number;
  threads: number;
  ring: RingHandle;
  /** Undefined: the consumer. */
  lines: string[] | undefined;
}

const order = workerData as ScheduledOrder;
const table = new Int32Array(order.table);
const base = order.index * 8;
const real = { store: Atomics.store, load: Atomics.load, wait: Atomics.wait, notify: Atomics.notify, add: Atomics.add };

function awaitTurn(): void {
  real.store(table, base + TURN.state, STATE.waits);
  real.notify(table, base + TURN.state);
  while (real.load(table, base + TURN.state) === STATE.waits) real.wait(table, base + TURN.state, STATE.waits);
  real.add(table, base + TURN.steps, 1);
}

function takeTurns(): void {
  const operations = Atomics as unknown as Record<string, (...values: unknown[]) => unknown>;
  for (const name of ['store', 'load', 'compareExchange', 'exchange', 'add', 'or', 'and']) {
    const operation = operations[name]!;
    operations[name] = (...values) => {
      awaitTurn();
      return operation(...values);
    };
  }
  // A wait may always end early, so that nothing here depends on being woken.
  operations.wait = () => {
    awaitTurn();
    return 'timed-out';
  };
  operations.notify = () => 0;
}

function produce(lines: string[]): void {
  const ring = new LineRing(order.ring);
  const producer = new RingProducer(ring);
  real.store(table, base + TURN.thread, real.load(ring.words, producer.slot));
  takeTurns();
  for (const line of lines) if (producer.write(line)) real.add(table, base + TURN.acknowledged, 1);
}

function isThreadAlive(thread: number): boolean {
  for (let index = 0; index < order.threads; index++) {
    if (real.load(table, index * 8 + TURN.thread) !== thread) continue;
    return real.load(table, index * 8 + TURN.isDead) === 0;
  }
  return true;
}

function consume(): string[] {
  const ring = new LineRing(order.ring);
  const consumer = new RingConsumer(ring, isThreadAlive);
  const taken: string[] = [];
  takeTurns();
  for (;;) {
    const areOthersDone = othersAreDone();
    const isEmpty = ring.head() === ring.tail();
    if (consumer.fill() || consumer.skipTorn()) {
      const text = Buffer.from(consumer.batchRest()).toString();
      if (text !== '') taken.push(...text.split(/(?<=\n)/));
      consumer.noteWritten(Buffer.byteLength(text));
    } else if (areOthersDone && isEmpty) return taken;
    consumer.wakeProducers();
    ring.freeSlots();
  }
}

function othersAreDone(): boolean {
  for (let index = 0; index < order.threads; index++) {
    const isOver =
      real.load(table, index * 8 + TURN.state) === STATE.done || real.load(table, index * 8 + TURN.isDead) === 1;
    if (index !== order.index && !isOver) return false;
  }
  return true;
}

const taken = order.lines === undefined ? consume() : produce(order.lines);
if (taken !== undefined) parentPort!.postMessage(taken);
real.store(table, base + TURN.state, STATE.done);
real.notify(table, base + TURN.state);
