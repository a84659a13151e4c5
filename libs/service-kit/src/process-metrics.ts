/** The process itself, for `/metrics`: memory, processor, and how late the event loop is. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { gauge } from './http/http-metrics.ts';

/** How often the loop's lateness is sampled: a timer of Node, hence its own cost of 50 wake-ups a second. */
const SAMPLE_MS = 20;

export class ProcessMetrics {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: SAMPLE_MS });

  /** Begins to sample how late the loop is. */
  start(): void {
    this.#delay.enable();
  }

  stop(): void {
    this.#delay.disable();
  }

  /** In Prometheus' text format. Lateness is since the last call, so that a scrape sees its own interval. */
  render(): string {
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const lines = [
      ...gauge('process_resident_memory_bytes', 'Memory that the process occupies.', rss),
      ...gauge('nodejs_heap_size_used_bytes', 'JavaScript objects.', heapUsed),
      ...gauge('nodejs_heap_size_total_bytes', 'The heap they live in.', heapTotal),
      ...gauge('nodejs_external_memory_bytes', 'Buffers and the like.', external),
      '# HELP process_cpu_seconds_total Processor time.',
      '# TYPE process_cpu_seconds_total counter',
      `process_cpu_seconds_total ${(user + system) / 1e6}`,
      ...gauge('nodejs_eventloop_lag_p99_seconds', 'How late timers were, 99th percentile.', this.#lateS(99)),
      ...gauge('nodejs_eventloop_lag_max_seconds', 'How late the latest timer was.', this.#lateS(100)),
    ];
    this.#delay.reset();
    return `${lines.join('\n')}\n`;
  }

  /** Seconds beyond the sampling interval, which the histogram (nanoseconds) includes. */
  #lateS(percentile: number): number {
    const ns = this.#delay.count === 0 ? 0 : this.#delay.percentile(percentile);
    return Math.max(0, ns / 1e9 - SAMPLE_MS / 1e3);
  }
}
