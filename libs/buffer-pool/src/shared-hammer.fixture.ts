/**
 * A thread that acquires, writes, hands over and releases blocks at random. Beside the pool lies a witness: one cell a
 * block, that a holder raises from 0 to 1 and lowers again. Whoever finds anything else has found a second holder.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { PoolExhausted, SharedBlockPool, type SharedBlockPoolHandle } from './buffer-pool.ts';
import { numbersFrom } from './seeded.fixture.ts';

export interface HammerPlan {
  handle: SharedBlockPoolHandle;
  /** Cells: one a block, for `witness`; then pairs of block + 1 and sender, for `mailbox`. */
  witness: SharedArrayBuffer;
  mailboxes: number;
  seed: number;
  rounds: number;
  heldMax: number;
  /** Goes on until it is killed, and says once when it has begun. */
  isVictim: boolean;
}

const plan = workerData as HammerPlan;
const pool = SharedBlockPool.attach(plan.handle);
const witness = new Int32Array(plan.witness);
const random = numbersFrom(plan.seed);
const held: { index: number; mark: number }[] = [];
const counts = { acquired: 0, exhausted: 0, sent: 0, adopted: 0, faults: 0 };

const below = (max: number): number => Math.floor(random() * max);

function take(index: number): void {
  if (Atomics.add(witness, index, 1) !== 0) counts.faults++;
  const mark = below(2 ** 31);
  const bytes = pool.bytes(index);
  for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.writeInt32LE(mark, at);
  held.push({ index, mark });
}

/** Ends the holding as far as the witness sees it. */
function leave(at: number): number {
  const [{ index, mark }] = held.splice(at, 1) as [{ index: number; mark: number }];
  const bytes = pool.bytes(index);
  for (let from = 0; from + 4 <= bytes.length; from += 4) if (bytes.readInt32LE(from) !== mark) counts.faults++;
  if (Atomics.sub(witness, index, 1) !== 1) counts.faults++;
  return index;
}

function acquire(): void {
  try {
    take(random() < 0.1 ? pool.acquireSync({ timeoutMs: 1 }) : pool.acquire());
    counts.acquired++;
  } catch (error) {
    if (!(error instanceof PoolExhausted)) throw error;
    counts.exhausted++;
  }
}

/** A mailbox is one cell: block + 1 in the low half, its sender in the high one. */
const mailboxAt = (): number => pool.blocks + below(plan.mailboxes);

function send(): void {
  const index = held[held.length - 1]!.index;
  const letter = (pool.owner << 16) | (index + 1);
  const box = mailboxAt();
  if (Atomics.load(witness, box) !== 0) return;
  leave(held.length - 1);
  if (Atomics.compareExchange(witness, box, 0, letter) === 0) counts.sent++;
  else pool.release(index);
}

function receive(): void {
  const letter = Atomics.exchange(witness, mailboxAt(), 0);
  if (letter === 0) return;
  const index = (letter & 0xffff) - 1;
  pool.adopt(index, letter >>> 16);
  take(index);
  counts.adopted++;
}

function step(): void {
  const chance = random();
  if (chance < 0.48 && held.length < plan.heldMax) acquire();
  else if (chance < 0.9 && held.length > 0) pool.release(leave(below(held.length)));
  else if (plan.mailboxes === 0) return;
  else if (chance < 0.95 && held.length > 0) send();
  else receive();
}

if (plan.isVictim) {
  for (let at = 0; at < 50; at++) step();
  parentPort!.postMessage('begun');
  // Its witness cells are the test's to clear: it never lives to do so.
  for (;;) step();
}
for (let at = 0; at < plan.rounds; at++) step();
while (held.length > 0) pool.release(leave(0));
parentPort!.postMessage(counts);
