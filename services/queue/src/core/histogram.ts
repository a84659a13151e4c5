/** A histogram of durations, as Prometheus has them: cumulative buckets, a sum, a count. */

/** Seconds; from a round trip on loopback to half an hour. */
const BOUNDS_S: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800,
];

export interface Percentiles {
  readonly count: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export class Histogram {
  readonly #counts = new Array<number>(BOUNDS_S.length + 1).fill(0);
  #sumMs = 0;
  #count = 0;

  /** A clock of another machine may be ahead: what would be negative counts as 0. */
  record(ms: number): void {
    const value = Math.max(0, ms);
    let at = 0;
    while (at < BOUNDS_S.length && value > BOUNDS_S[at]! * 1_000) at += 1;
    this.#counts[at]! += 1;
    this.#sumMs += value;
    this.#count += 1;
  }

  /** Percentiles are the upper bounds of their buckets; beyond the last bound, that bound. */
  percentiles(): Percentiles {
    return {
      count: this.#count,
      meanMs: this.#count === 0 ? 0 : this.#sumMs / this.#count,
      p50Ms: this.#boundMs(0.5),
      p99Ms: this.#boundMs(0.99),
    };
  }

  /** Lines of the text format. `labels` as they stand within the braces: `queue="mail"`. */
  lines(name: string, labels: string): string {
    const out: string[] = [];
    let below = 0;
    for (const [at, bound] of BOUNDS_S.entries()) {
      below += this.#counts[at]!;
      out.push(`${name}_bucket{${labels},le="${bound}"} ${below}\n`);
    }
    out.push(`${name}_bucket{${labels},le="+Inf"} ${this.#count}\n`);
    out.push(`${name}_sum{${labels}} ${this.#sumMs / 1_000}\n${name}_count{${labels}} ${this.#count}\n`);
    return out.join('');
  }

  #boundMs(share: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.ceil(this.#count * share);
    let below = 0;
    for (const [at, bound] of BOUNDS_S.entries()) {
      below += this.#counts[at]!;
      if (below >= rank) return bound * 1_000;
    }
    return BOUNDS_S.at(-1)! * 1_000;
  }
}
