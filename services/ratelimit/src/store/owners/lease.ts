/**
 * How long a member may decide without hearing that it still is one.
 *
 * A member writes its heartbeat on condition that its last one is the newest of its key, and who declares it dead
 * deletes the key on the same condition. So, when it is deleted, the heartbeat last stored is the one the deleter saw
 * last, at some time T, and waited `deadMs` for the next. The member counts its lease from before it *sent* that
 * heartbeat, which is before T. Hence it has stopped by T + fenceMs, and nobody takes over before T + deadMs:
 *
 *     sent ≤ T,   stops at sent + fenceMs ≤ T + fenceMs < T + deadMs ≤ deleted ≤ taken over
 *
 * The distance between the two is for clocks that do not run equally fast (0.1 % of it is 2 ms) and for the decision
 * that has begun when the lease ends: one turn of the event loop. No clocks are compared, only durations.
 *
 * A suspended machine is the reason for the second clock: the steady one may have stood still. A wall clock that jumps
 * forward fences a member that need not be; the next heartbeat ends that.
 */
export interface LeaseClocks {
  /** Milliseconds, steady. */
  nowMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
}

export class Lease {
  readonly #clocks: LeaseClocks;
  readonly fenceMs: number;
  #untilMs = Number.NEGATIVE_INFINITY;
  #untilWallMs = Number.NEGATIVE_INFINITY;

  constructor(clocks: LeaseClocks, fenceMs: number) {
    this.#clocks = clocks;
    this.fenceMs = fenceMs;
  }

  /** What `renew` takes: the moment before a heartbeat is sent. */
  moment(): { nowMs: number; wallMs: number } {
    return { nowMs: this.#clocks.nowMs(), wallMs: this.#clocks.wallMs() };
  }

  /** The heartbeat sent after that moment is stored. Answers may come in any order: the latest counts. */
  renew({ nowMs, wallMs }: { nowMs: number; wallMs: number }): void {
    if (nowMs + this.fenceMs <= this.#untilMs) return;
    this.#untilMs = nowMs + this.fenceMs;
    this.#untilWallMs = wallMs + this.fenceMs;
  }

  /** It is over now: the member left, or was declared dead. */
  end(): void {
    this.#untilMs = Number.NEGATIVE_INFINITY;
  }

  get isHeld(): boolean {
    return this.#clocks.nowMs() < this.#untilMs && this.#clocks.wallMs() < this.#untilWallMs;
  }
}
