/** Writes results to the key-value store, where jobs asked for it: `resultTo: kv://bucket/key`. */
import type { Client } from '@plinth/client';
import { extractHeaders, inContext } from '@plinth/telemetry';
import type { Deliveries, JobEvent } from '../core/job-event.ts';

export interface ResultWriterOptions {
  /** Undefined: there is no way to it. */
  kv: Pick<Client['kv'], 'bucket'> | undefined;
  /** It could not be written, and will not be. */
  failed(event: JobEvent, reason: string): void;
  sleep(ms: number): Promise<void>;
}

/** Besides those of the client, which repeats what is safe within its deadline. */
const TRIES = 5;
const PAUSE_MS = 500;
/** Results that wait for their write; more are dropped, and told. */
const PENDING_MAX = 10_000;
const AT_ONCE = 64;
const ADDRESS = /^kv:\/\/([^/]+)\/(.+)$/;

interface Write {
  readonly event: JobEvent;
  readonly deliveries: Deliveries;
  readonly bucket: string;
  readonly key: string;
  readonly value: string;
}

export class ResultWriter {
  readonly #options: ResultWriterOptions;
  readonly #waiting: Write[] = [];
  #running = 0;
  #isStopped = false;
  #idle: (() => void)[] = [];
  written = 0;
  failed = 0;

  constructor(options: ResultWriterOptions) {
    this.#options = options;
  }

  /** Of a completed job that asked for it. The job is complete whatever becomes of the write. */
  hear(event: JobEvent): void {
    const { kind, deliveries, result = 'null' } = event;
    if (kind !== 'completed' || deliveries?.resultTo === undefined) return;
    const [, bucket, key] = ADDRESS.exec(deliveries.resultTo) ?? [];
    if (this.#options.kv === undefined) this.#fail(event, 'there is no way to the key-value store');
    else if (bucket === undefined || key === undefined) this.#fail(event, 'it is to go to no kv://bucket/key');
    else if (this.#waiting.length >= PENDING_MAX) this.#fail(event, 'too many results wait to be written');
    else this.#waiting.push({ event, deliveries, bucket, key, value: result });
    this.#pump();
  }

  /** Writes what waits, with fewer tries. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #pump(): void {
    while (this.#running < AT_ONCE) {
      const write = this.#waiting.shift();
      if (write === undefined) break;
      this.#running += 1;
      void this.#write(write).finally(() => {
        this.#running -= 1;
        this.#pump();
      });
    }
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #write({ event, deliveries: { traceparent, tracestate }, bucket, key, value }: Write): Promise<void> {
    const trace = extractHeaders({ traceparent, tracestate });
    const put = () => this.#options.kv!.bucket(bucket).put(key, value, { contentType: 'application/json' });
    for (let attempt = 1; ; attempt++) {
      try {
        await inContext(trace, put);
        this.written += 1;
        return;
      } catch (error) {
        if (attempt >= TRIES || this.#isStopped) return this.#fail(event, String(error));
        await this.#options.sleep(PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }

  #fail(event: JobEvent, reason: string): void {
    this.failed += 1;
    this.#options.failed(event, reason);
  }
}
