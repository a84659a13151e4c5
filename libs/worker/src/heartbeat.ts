/**
 * Keeps leases alive, and tells the service that this worker is.
 *
 * It runs in a thread of its own with a connection of its own, so that a handler that blocks the main thread does not
 * lose its lease. But a process that is stuck for good must lose it: the main thread has a pulse, and when that stands
 * still for `maxBlockMs` nothing is renewed any more.
 *
 * A lease is renewed after a third of its time; those that would be due soon are renewed along. Jobs come in batches,
 * as they were leased, and a batch is one text until it is due: most are done long before, and then have cost nothing.
 */
import { backoffMs } from '@plinth/client/backoff';
import type { Order, QueueDoor, Renewal, Renewed } from './queue-door.ts';

export interface HeartbeatPlan {
  worker: string;
  queues: readonly string[];
  slots: number;
  leaseMs: number;
  beatMs: number;
  maxBlockMs: number;
  host: string;
}

/** Shared with the main thread: what that one counts up, and how many jobs it has. */
export const PULSE = 0;
export const USED = 1;
export const PULSE_CELLS = 2;

/**
 * `lost`: the service says that the job is not this worker's. `expired`: its lease ran out as far as is known here.
 * `cancel`: somebody wants it to stop.
 */
export type HeartbeatNote =
  /** It runs: from now on a lease that is taken will be renewed. */
  | { type: 'ready' }
  | { type: 'lost' | 'expired' | 'cancel'; queue: string; token: string; reason: string }
  | { type: 'order'; order: Order }
  | { type: 'blocked'; blockedMs: number }
  | { type: 'trouble'; call: 'renew' | 'beat'; code: string; message: string; retryInMs: number };

export interface HeartbeatOptions {
  door: Pick<QueueDoor, 'renew' | 'beat'>;
  plan: HeartbeatPlan;
  pulse: Int32Array;
  tell(note: HeartbeatNote): void;
  /** Steady milliseconds. */
  now(): number;
  random(): number;
}

interface Held {
  id: string;
  /** Steady milliseconds at which the lease ends, by what is known here. */
  endsMs: number;
}

/** `tokens`: with spaces between; nothing: the whole batch. */
export interface Drop {
  queue: string;
  batch: number;
  tokens: string;
}

/** `hold`: tokens and ids of a batch, `token id token id …`: as one text it crosses threads at a tenth of the price. */
export type ThreadOrder = { hold: string; queue: string; batch: number } | { drop: readonly Drop[] };

/** Orders to the thread itself, beside those to its heartbeat. */
export type ThreadControl = { apiKey: string } | { end: true };

/** Jobs that were leased in one call. */
class Batch {
  readonly #text: string;
  readonly #endsMs: number;
  /** Texts of tokens, as they were told. */
  readonly #dropped: string[] = [];
  #members: Map<string, Held> | undefined;

  /** @param text - Tokens and ids, `token id token id …`. */
  constructor(text: string, endsMs: number) {
    this.#text = text;
    this.#endsMs = endsMs;
  }

  /** @param tokens - With spaces between. */
  drop(tokens: string): void {
    if (this.#members === undefined) this.#dropped.push(tokens);
    else for (const token of tokens.split(' ')) this.#members.delete(token);
  }

  /** When the first of them ends, or before. */
  get endsMs(): number {
    if (this.#members === undefined) return this.#endsMs;
    let earliestMs = Infinity;
    for (const { endsMs } of this.#members.values()) earliestMs = Math.min(earliestMs, endsMs);
    return earliestMs;
  }

  /** By token. */
  get members(): Map<string, Held> {
    if (this.#members !== undefined) return this.#members;
    this.#members = new Map();
    const words = this.#text.split(' ');
    for (let at = 0; at < words.length; at += 2) {
      this.#members.set(words[at]!, { id: words[at + 1]!, endsMs: this.#endsMs });
    }
    for (const tokens of this.#dropped) this.drop(tokens);
    return this.#members;
  }
}

interface Due extends Held {
  token: string;
  batch: Batch;
}

/** The most that the service takes in a call. */
const RENEWALS_MAX = 1_000;

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  /** By queue, and by the number of the batch. */
  readonly #held = new Map<string, Map<number, Batch>>();
  readonly #renewing = new Set<string>();
  #isBeating = false;
  #nextBeatMs = 0;
  #failures = 0;
  #lastPulse = 0;
  #lastPulseMs: number;
  #isBlocked = false;
  #ticker: NodeJS.Timeout | undefined;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#lastPulseMs = options.now();
  }

  start(): void {
    const { leaseMs, maxBlockMs, beatMs } = this.#options.plan;
    this.#ticker = setInterval(() => this.#tick(), Math.min(1_000, leaseMs / 6, maxBlockMs / 4, beatMs));
    this.#tick();
    this.#options.tell({ type: 'ready' });
  }

  stop(): void {
    clearInterval(this.#ticker);
  }

  obey(order: ThreadOrder): void {
    if ('drop' in order) {
      for (const drop of order.drop) this.#drop(drop);
      return;
    }
    const endsMs = this.#options.now() + this.#options.plan.leaseMs;
    this.#heldIn(order.queue).set(order.batch, new Batch(order.hold, endsMs));
  }

  #drop({ queue, batch, tokens }: Drop): void {
    const held = this.#heldIn(queue);
    if (tokens === '') held.delete(batch);
    else held.get(batch)?.drop(tokens);
  }

  #heldIn(queue: string): Map<number, Batch> {
    let held = this.#held.get(queue);
    if (held === undefined) {
      held = new Map();
      this.#held.set(queue, held);
    }
    return held;
  }

  #tick(): void {
    const nowMs = this.#options.now();
    if (!this.#hasPulse(nowMs)) return;
    for (const [queue, held] of this.#held) if (held.size > 0 && !this.#renewing.has(queue)) this.#renew(queue, nowMs);
    if (nowMs >= this.#nextBeatMs && !this.#isBeating) void this.#beat(nowMs);
  }

  #hasPulse(nowMs: number): boolean {
    const { pulse, plan, tell } = this.#options;
    const beats = Atomics.load(pulse, PULSE);
    if (beats !== this.#lastPulse) {
      this.#lastPulse = beats;
      this.#lastPulseMs = nowMs;
      this.#isBlocked = false;
      return true;
    }
    const blockedMs = nowMs - this.#lastPulseMs;
    if (blockedMs <= plan.maxBlockMs) return true;
    if (!this.#isBlocked) tell({ type: 'blocked', blockedMs: Math.round(blockedMs) });
    this.#isBlocked = true;
    return false;
  }

  #renew(queue: string, nowMs: number): void {
    const { leaseMs } = this.#options.plan;
    const held = this.#heldIn(queue);
    let isDue = false;
    for (const { endsMs } of held.values()) isDue ||= endsMs - nowMs < (leaseMs * 2) / 3;
    if (!isDue) return;
    const due: Due[] = [];
    for (const batch of held.values()) {
      if (batch.endsMs - nowMs >= (leaseMs * 5) / 6) continue;
      for (const [token, { id, endsMs }] of batch.members) {
        if (endsMs <= nowMs) this.#expire(queue, batch, token);
        else if (endsMs - nowMs < (leaseMs * 5) / 6 && due.length < RENEWALS_MAX)
          due.push({ batch, token, id, endsMs });
      }
    }
    if (due.length > 0) void this.#send(queue, due);
  }

  async #send(queue: string, due: readonly Due[]): Promise<void> {
    const { door, plan, now, tell } = this.#options;
    const sentMs = now();
    this.#renewing.add(queue);
    try {
      const leases: Renewal[] = due.map(({ token, id }) => ({ id, token, leaseMs: plan.leaseMs }));
      const renewed = await door.renew(queue, leases, { timeoutMs: Math.min(5_000, plan.leaseMs / 3) });
      renewed.forEach((answer, at) => void this.#note(queue, due[at]!, answer, sentMs + plan.leaseMs));
    } catch (error) {
      tell({ type: 'trouble', call: 'renew', ...wordsOf(error), retryInMs: Math.min(1_000, plan.leaseMs / 6) });
    } finally {
      this.#renewing.delete(queue);
    }
  }

  #note(queue: string, { batch, token }: Due, { cancel, problem }: Renewed, endsMs: number): void {
    const held = batch.members.get(token);
    // Settled in the meantime.
    if (held === undefined) return;
    if (problem !== undefined) {
      batch.drop(token);
      this.#options.tell({ type: 'lost', queue, token, reason: String(problem.detail ?? problem.code) });
      return;
    }
    held.endsMs = endsMs;
    if (cancel !== undefined) this.#options.tell({ type: 'cancel', queue, token, reason: cancel });
  }

  #expire(queue: string, batch: Batch, token: string): void {
    batch.drop(token);
    this.#options.tell({ type: 'expired', queue, token, reason: 'the lease ran out before it could be renewed' });
  }

  async #beat(nowMs: number): Promise<void> {
    const { door, plan, pulse, tell, random } = this.#options;
    const { worker, queues, slots, host, beatMs } = plan;
    this.#isBeating = true;
    this.#nextBeatMs = nowMs + beatMs;
    try {
      const used = Math.min(slots, Atomics.load(pulse, USED));
      const beat = { queues: [...queues], slots, used, rssBytes: process.memoryUsage.rss(), host };
      tell({ type: 'order', order: await door.beat(worker, beat, { timeoutMs: Math.min(5_000, beatMs * 2) }) });
      this.#failures = 0;
    } catch (error) {
      const retryInMs = Math.max(beatMs, backoffMs(this.#failures++, random()));
      this.#nextBeatMs = nowMs + retryInMs;
      tell({ type: 'trouble', call: 'beat', ...wordsOf(error), retryInMs });
    } finally {
      this.#isBeating = false;
    }
  }
}

function wordsOf(error: unknown): { code: string; message: string } {
  const { code, name, message } = error as { code?: string; name?: string; message?: string };
  return { code: String(code ?? name ?? 'Error'), message: String(message ?? error) };
}
