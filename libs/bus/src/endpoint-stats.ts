/** Counters of one operation, as `nats micro stats` shows them. */
export class EndpointStats {
  requests = 0;
  errors = 0;
  /** `503:The service has too much to do`, as the NATS services framework writes it; empty when there was none. */
  lastError = '';
  #processingMs = 0;

  /** Counts a request that was answered. Problems below 500 are answers, not errors. */
  note({ startedMs, error }: { startedMs: number; error?: { status: number; title: string } }): void {
    this.requests++;
    this.#processingMs += performance.now() - startedMs;
    if (error === undefined || error.status < 500) return;
    this.errors++;
    this.lastError = `${error.status}:${error.title}`;
  }

  /** ADR-32 wants nanoseconds. */
  toJSON() {
    const processingNs = Math.round(this.#processingMs * 1e6);
    return {
      num_requests: this.requests,
      num_errors: this.errors,
      last_error: this.lastError,
      processing_time: processingNs,
      average_processing_time: this.requests === 0 ? 0 : Math.round(processingNs / this.requests),
    };
  }
}
