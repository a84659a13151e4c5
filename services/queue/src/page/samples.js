/**
 * What the figures of queues were lately, while this page is open: the service keeps no past. Rates come from totals,
 * which count on all replicas, and not from what one replica has seen.
 */

/** Ten minutes at a look each two seconds. */
const SAMPLES_MAX = 300;
/** Rates are told over so long: shorter jumps, longer lags. */
const RATE_MS = 10_000;
const COUNTED = ['enqueued', 'completed', 'failed'];

export class Samples {
  #byQueue = new Map();

  /** @param stats - As `GET …/stats` answers. */
  take(queue, stats, atMs) {
    const { samples, totals, totalsAtMs } = this.#byQueue.get(queue) ?? { samples: [] };
    const seconds = (atMs - totalsAtMs) / 1_000;
    // Without totals to compare with, or with a queue that was made anew, what the replica says has to do.
    const isComparable = seconds > 0 && COUNTED.every((name) => stats.totals[name] >= totals[name]);
    const perSecond = (name) => (isComparable ? (stats.totals[name] - totals[name]) / seconds : stats.rates[name]);
    // The first is a guess; the second, which begins where it was taken, knows better.
    if (isComparable && samples.length === 1 && samples[0].isGuess) samples.shift();
    samples.push({
      isGuess: !isComparable,
      atMs: isComparable ? totalsAtMs : atMs,
      untilMs: atMs,
      waiting: stats.counts.waiting,
      leased: stats.counts.leased,
      ...Object.fromEntries(COUNTED.map((name) => [name, perSecond(name)])),
    });
    if (samples.length > SAMPLES_MAX) samples.shift();
    this.#byQueue.set(queue, { samples, totals: stats.totals, totalsAtMs: atMs });
  }

  /** Each with `atMs` and `untilMs`, oldest first. */
  of(queue) {
    return this.#byQueue.get(queue)?.samples ?? [];
  }

  /** A second, over the last ten. */
  rates(queue) {
    const samples = this.of(queue);
    const fromMs = (samples.at(-1)?.untilMs ?? 0) - RATE_MS;
    const recent = samples.filter(({ untilMs }) => untilMs > fromMs);
    // Looks come at their own pace; a guess has no length, and is all that there is.
    const lengthOf = ({ atMs, untilMs }) => Math.max(1, untilMs - atMs);
    const lengthMs = Math.max(
      1,
      recent.reduce((sum, sample) => sum + lengthOf(sample), 0),
    );
    const mean = (name) => recent.reduce((sum, sample) => sum + sample[name] * lengthOf(sample), 0) / lengthMs;
    return Object.fromEntries(COUNTED.map((name) => [name, mean(name)]));
  }
}
