/**
 * A client that writes and reads steadily while things are broken. It keeps every acknowledged write and looks for all
 * of them afterwards; it retries what the store's README says may be retried, and counts everything else as failed.
 */
import { setTimeout as sleep } from 'node:timers/promises';

const WRITERS = 4;
const READERS = 2;
/** Steady, not as fast as it can: what is measured is who is lost, not speed. */
const PAUSE_MS = 5;
/** How long one operation is retried before it counts as failed. */
const PATIENCE_MS = 120_000;
const RETRY_MS = 100;

export interface LoadReport {
  writes: number;
  reads: number;
  /** Retried, by reason: a connection that was refused or cut, a 503. */
  retried: Record<string, number>;
  /** Neither answered well nor retryable. */
  failed: string[];
  /** The longest time in which no operation succeeded, in seconds. */
  outageSeconds: number;
}

export class Load {
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #acknowledged = new Map<string, string>();
  readonly #report: LoadReport = { writes: 0, reads: 0, retried: {}, failed: [], outageSeconds: 0 };
  readonly #run: string;
  readonly #expectsValues: boolean;
  #workers: Promise<void>[] = [];
  #isStopping = false;
  #succeededAtMs = 0;

  /** @param url - Of the store. @param key - An API key. @param expectsValues - False: a 404 is an answer as well. */
  constructor(url: string, key: string, { expectsValues = true } = {}) {
    this.#url = url;
    this.#expectsValues = expectsValues;
    this.#headers = { authorization: `Bearer ${key}` };
    this.#run = `run-${Date.now().toString(36)}`;
  }

  start(): this {
    this.#succeededAtMs = performance.now();
    const writers = Array.from({ length: WRITERS }, (_, writer) => this.#repeat((n) => this.#write(writer, n)));
    const readers = Array.from({ length: READERS }, () => this.#repeat(() => this.#read()));
    this.#workers = [...writers, ...readers];
    return this;
  }

  /** Stops when the operations under way have ended, well or not. */
  async stop(): Promise<LoadReport> {
    this.#isStopping = true;
    await Promise.all(this.#workers);
    return this.#report;
  }

  /** Resolves when operations succeed again. */
  async flows(): Promise<void> {
    const since = performance.now();
    while (this.#succeededAtMs < since) await sleep(50);
  }

  /** Acknowledged writes that are not there, or are not what was written. */
  async lost(): Promise<string[]> {
    const lost: string[] = [];
    for (const [key, value] of this.#acknowledged) {
      const response = await fetch(this.#urlOf(key), { headers: this.#headers });
      const found = await response.text();
      if (response.status !== 200 || found !== value) lost.push(`${key}: ${response.status} ${found.slice(0, 80)}`);
    }
    return lost;
  }

  async #repeat(operation: (n: number) => Promise<void>): Promise<void> {
    for (let n = 0; !this.#isStopping; n++) {
      await operation(n);
      await sleep(PAUSE_MS);
    }
  }

  async #write(writer: number, n: number): Promise<void> {
    const [key, body] = [`${this.#run}/${writer}/${n}`, `value ${n} of ${writer}`];
    if (await this.#insist(key, { method: 'PUT', body }, (status) => status === 201 || status === 204)) {
      this.#acknowledged.set(key, body);
      this.#report.writes += 1;
    }
  }

  async #read(): Promise<void> {
    const keys = [...this.#acknowledged.keys()].slice(-500);
    const key = keys[Math.floor(Math.random() * keys.length)];
    if (key === undefined) return;
    const isGood = (status: number) => status === 200 || (status === 404 && !this.#expectsValues);
    if (await this.#insist(key, {}, isGood)) this.#report.reads += 1;
  }

  /** Tries until it succeeds. A put of the same value may be repeated: it ends the same. */
  async #insist(key: string, init: RequestInit, isGood: (status: number) => boolean): Promise<boolean> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const outcome = await this.#try(key, init);
      if (typeof outcome === 'number' && isGood(outcome)) {
        this.#succeeded();
        return true;
      }
      const isRetryable = typeof outcome === 'string' || outcome === 503;
      if (!isRetryable || performance.now() > deadlineMs) {
        this.#report.failed.push(`${init.method ?? 'GET'} ${key}: ${outcome}`);
        return false;
      }
      this.#report.retried[outcome] = (this.#report.retried[outcome] ?? 0) + 1;
      await sleep(RETRY_MS);
    }
  }

  /** The status, or why there was none. */
  async #try(key: string, init: RequestInit): Promise<number | string> {
    try {
      const response = await fetch(this.#urlOf(key), {
        ...init,
        headers: this.#headers,
        signal: AbortSignal.timeout(10_000),
      });
      await response.arrayBuffer();
      return response.status;
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } };
      return cause?.code ?? name;
    }
  }

  #succeeded(): void {
    const now = performance.now();
    this.#report.outageSeconds = Math.max(this.#report.outageSeconds, (now - this.#succeededAtMs) / 1_000);
    this.#succeededAtMs = now;
  }

  #urlOf(key: string): string {
    return `${this.#url}/v1/kv/load/${key}`;
  }
}

/** For the log of a run: what happened, in a line. */
export function summary({ writes, reads, retried, failed, outageSeconds }: LoadReport): string {
  const kinds = Object.entries(retried).map(([kind, count]) => `${count} × ${kind}`);
  return `${writes} writes, ${reads} reads, ${failed.length} failed, retried ${kinds.join(', ') || 'none'}, longest outage ${outageSeconds.toFixed(1)} s`;
}
