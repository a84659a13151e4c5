/**
 * Calls to one other member. When none is under way a call goes out at once, with whatever else was asked in the same
 * turn of the event loop; else calls gather until an answer comes, there are 256 of them, or a millisecond has passed:
 * the least that a timer waits. So a lone call pays nothing for others, and many share the price of one message.
 *
 * A call that was sent is never sent again: whether it was heard, nobody knows.
 */
import type { Post } from './post.ts';
import { textOf } from './post.ts';
import { decodeAnswer, encodeCall, type PolicyTexts } from './wire.ts';
import { MOVED, type Reply, UNKNOWN, type Wish } from './wish.ts';

/** Nobody heard it: nothing happened, and asking again soon is as hopeless. */
export const UNHEARD = Symbol('unheard');
export type Heard = Reply | typeof UNKNOWN | typeof UNHEARD;

const BATCH_MAX = 256;
/** Of a message, counted generously; NATS takes 1 MiB. */
const BATCH_BYTES = 512 * 1_024;
const GATHER_MS = 1;
/** Calls under way to one member: at a deadline of 50 ms nobody is served by more. */
const UNDERWAY_MAX = 64;
/** Calls that wait for their turn. */
const QUEUE_MAX = 16_384;
/** So many calls in a row without an answer, and for a while nobody is made to wait for another one. */
const MISSES_MAX = 3;
const PAUSE_MS = 250;

interface Item {
  readonly wish: Wish;
  readonly resolve: (heard: Heard) => void;
}

export interface LaneOptions {
  readonly to: string;
  readonly post: Post;
  readonly texts: PolicyTexts;
  readonly callMs: number;
  readonly epoch: () => number;
  readonly nowMs: () => number;
  /** A call of so many wishes was sent. */
  sent(wishes: number): void;
}

export class Lane {
  readonly #options: LaneOptions;
  #queue: Item[] = [];
  #bytes = 0;
  #underway = 0;
  #isFlushDue = false;
  #timer: NodeJS.Timeout | undefined;
  #misses = 0;
  #missedMs = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  ask(wish: Wish): Promise<Heard> {
    if (this.#queue.length >= QUEUE_MAX || this.#isSilent()) return Promise.resolve(UNHEARD);
    return new Promise<Heard>((resolve) => {
      this.#queue.push({ wish, resolve });
      this.#bytes += bytesOf(wish);
      if (this.#queue.length >= BATCH_MAX || this.#bytes >= BATCH_BYTES) this.#flush();
      else if (this.#underway === 0) this.#flushSoon();
      else this.#timer ??= setTimeout(() => this.#flush(), GATHER_MS);
    });
  }

  /** One in each pause may try. */
  #isSilent(): boolean {
    if (this.#misses < MISSES_MAX) return false;
    const nowMs = this.#options.nowMs();
    if (nowMs - this.#missedMs < PAUSE_MS) return true;
    this.#missedMs = nowMs;
    return false;
  }

  #flushSoon(): void {
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isFlushDue = false;
    while (this.#queue.length > 0 && this.#underway < UNDERWAY_MAX) this.#send(this.#nextBatch());
  }

  #nextBatch(): Item[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && count < BATCH_MAX) {
      bytes += bytesOf(this.#queue[count]!.wish);
      if (bytes > BATCH_BYTES && count > 0) break;
      count += 1;
    }
    const batch = this.#queue.splice(0, count);
    this.#bytes = this.#queue.length === 0 ? 0 : Math.max(0, this.#bytes - bytes);
    return batch;
  }

  #send(batch: readonly Item[]): void {
    const { to, post, texts, callMs, epoch, sent } = this.#options;
    const calledEpoch = epoch();
    const wishes = batch.map(({ wish }) => wish);
    this.#underway += 1;
    sent(batch.length);
    post.send({ id: to, box: 'call' }, encodeCall({ epoch: calledEpoch, wishes }, texts), callMs, (delivery) => {
      this.#underway -= 1;
      this.#answered(batch, wishes, calledEpoch, delivery);
      if (this.#queue.length > 0) this.#flush();
    });
  }

  #answered(
    batch: readonly Item[],
    wishes: readonly Wish[],
    calledEpoch: number,
    delivery: Uint8Array | 'timeout' | 'nobody',
  ): void {
    if (delivery === 'timeout') {
      this.#misses += 1;
      this.#missedMs = this.#options.nowMs();
      settleAll(batch, UNKNOWN);
    } else if (delivery === 'nobody') settleAll(batch, UNHEARD);
    else {
      this.#misses = 0;
      settle(batch, heardIn(delivery, wishes, calledEpoch));
    }
  }
}

function heardIn(answer: Uint8Array, wishes: readonly Wish[], calledEpoch: number): readonly Heard[] {
  try {
    const { epoch, replies } = decodeAnswer(textOf(answer), wishes);
    if (typeof replies === 'string') return wishes.map(() => UNHEARD);
    // One whose view is older than this one's has no say, whatever it said. It should have said so itself.
    return epoch >= calledEpoch ? replies : replies.map((reply) => (reply === MOVED ? MOVED : UNKNOWN));
  } catch {
    return wishes.map(() => UNKNOWN);
  }
}

function settle(batch: readonly Item[], heard: readonly Heard[]): void {
  for (const [at, { resolve }] of batch.entries()) resolve(heard[at]!);
}

function settleAll(batch: readonly Item[], heard: Heard): void {
  for (const { resolve } of batch) resolve(heard);
}

/** What a wish takes on the wire at the most, about: a character is up to three bytes. */
function bytesOf({ charges }: Wish): number {
  let bytes = 64;
  for (const { key } of charges) bytes += 3 * key.length + 64;
  return bytes;
}
