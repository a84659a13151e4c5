/**
 * A limit of concurrency that finds itself, between the least and the most that the policy allows.
 *
 * Down: by the gradient of Netflix' concurrency-limits (`Gradient2Limit`), target / measured latency, a half at the
 * least, smoothed. Told of overload: to nine tenths at the most (its `AIMDLimit`; Chiu and Jain 1989). Up: by the root
 * of the limit, smoothed, while latency is within the target and at least half of the places were taken: a limit that
 * nobody meets says nothing. (Gradient2Limit adds the root always, as room for a queue; small limits would then rest
 * above the target.) A change is made once per window of samples, because many slow answers tell of the same moment.
 */
import type { Policy } from './policy.ts';

/** What the work came to, for `adaptive`. */
export interface Outturn {
  latencyMs?: number | undefined;
  /** It failed for there was too much to do: a timeout, a 503. */
  isOverload?: boolean | undefined;
}

/** Samples of a window, and how long it takes at least; `SMOOTHING` of a change is made at once. All as Gradient2Limit. */
const SAMPLES_MIN = 10;
const WINDOW_US_MIN = 100_000;
const SMOOTHING = 0.2;
const GRADIENT_MIN = 0.5;
const BACK_OFF = 0.9;

export class AdaptiveLimit {
  readonly #targetMs: number;
  readonly #least: number;
  readonly #most: number;
  #limit: number;
  #windowFromUs: number;
  #samples = 0;
  #latencyMs = 0;
  #overloads = 0;
  #heldMost = 0;

  /** Begins at the most; or at `limit`, that another process has found. */
  constructor({ spec, limit: most }: Policy, nowUs: number, limit = most) {
    this.#targetMs = spec.targetMs!;
    this.#least = Math.min(spec.limitMin ?? 1, most);
    this.#most = most;
    this.#limit = Math.min(most, Math.max(this.#least, limit));
    this.#windowFromUs = nowUs;
  }

  /** The present limit, whole places. */
  get places(): number {
    return Math.floor(this.#limit);
  }

  /** With its fraction, for another process to go on with. */
  get exact(): number {
    return this.#limit;
  }

  /** Counts what a piece of work came to, `held` places being taken while it ran. */
  sample({ latencyMs, isOverload }: Outturn, held: number, nowUs: number): void {
    if (isOverload === true) this.#overloads++;
    else if (latencyMs !== undefined && latencyMs >= 0) {
      this.#samples++;
      this.#latencyMs += latencyMs;
    } else return;
    this.#heldMost = Math.max(this.#heldMost, held);
    const isLong = nowUs - this.#windowFromUs >= WINDOW_US_MIN;
    if (isLong && this.#samples + this.#overloads >= SAMPLES_MIN) this.#change(nowUs);
  }

  #change(nowUs: number): void {
    const latencyMs = this.#samples === 0 ? 0 : this.#latencyMs / this.#samples;
    const isSlow = latencyMs > this.#targetMs;
    const gradient = isSlow ? Math.max(GRADIENT_MIN, this.#targetMs / latencyMs) : 1;
    const wanted = isSlow ? this.#limit * gradient : this.#limit + Math.sqrt(this.#limit);
    const smoothed = this.#limit + (wanted - this.#limit) * SMOOTHING;
    if (this.#overloads > 0) this.#limit = Math.min(this.#limit * BACK_OFF, smoothed);
    else if (smoothed < this.#limit || this.#heldMost * 2 >= this.#limit) this.#limit = smoothed;
    this.#limit = Math.min(this.#most, Math.max(this.#least, this.#limit));
    this.#windowFromUs = nowUs;
    this.#samples = 0;
    this.#latencyMs = 0;
    this.#overloads = 0;
    this.#heldMost = 0;
  }
}
