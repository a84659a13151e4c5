/**
 * Clients that take from limits while pods come and go. What each key was admitted is counted on this side, so it is what
 * callers were really let through with; a call whose connection was cut may have taken a unit that nobody got, and is
 * counted by itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** How long one call is retried before it counts as failed. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 20;
const TIMEOUT_MS = 10_000;

export interface LimitLoadOptions {
  url: string;
  /** An API key. */
  key: string;
  /** What is asked for, with the subject put in: a rule's descriptor, or a limit. */
  check: (subject: string) => object;
  subjects: readonly string[];
  clients: number;
  /** Of a client between two calls, in milliseconds. */
  pauseMs: number;
}

export interface LimitReport {
  /** Decided with the backend, units by subject. */
  admitted: Map<string, number>;
  denied: number;
  /** Decided while the backend was away, or the owner of the key: units by subject. */
  degradedAdmitted: Map<string, number>;
  degradedDenied: number;
  /** Retried, by reason: a connection that was refused or cut, a 503. */
  retried: Record<string, number>;
  /** Retried calls that may have taken a unit. */
  unknown: number;
  failed: string[];
  /** The longest that a client waited for an answer, retries included. */
  waitMsMax: number;
}

export class LimitLoad {
  readonly #options: LimitLoadOptions;
  readonly #report: LimitReport = {
    admitted: new Map(),
    denied: 0,
    degradedAdmitted: new Map(),
    degradedDenied: 0,
    retried: {},
    unknown: 0,
    failed: [],
    waitMsMax: 0,
  };
  #pauseMs: number;
  #workers: Promise<void>[] = [];
  #isStopping = false;
  #next = 0;
  #startedMs = 0;

  constructor(options: LimitLoadOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs;
  }

  start(): this {
    this.#startedMs = performance.now();
    this.#workers = Array.from({ length: this.#options.clients }, () => this.#ask());
    return this;
  }

  /** From now on with another pause. */
  pace(pauseMs: number): void {
    this.#pauseMs = pauseMs;
  }

  get ageMs(): number {
    return performance.now() - this.#startedMs;
  }

  get admittedCount(): number {
    return total(this.#report.admitted);
  }

  get deniedCount(): number {
    return this.#report.denied;
  }

  /** Resolves when every subject was denied often enough since: all is used up. */
  async usedUp(): Promise<void> {
    for (;;) {
      const before = [this.admittedCount, this.#report.denied] as const;
      while (this.#report.denied - before[1] < 2 * this.#options.subjects.length + this.#options.clients)
        await sleep(100);
      if (this.admittedCount === before[0]) return;
    }
  }

  /** Stops when the calls under way have ended, well or not. */
  async stop(): Promise<LimitReport> {
    this.#isStopping = true;
    await Promise.all(this.#workers);
    return this.#report;
  }

  async #ask(): Promise<void> {
    while (!this.#isStopping) {
      const subject = this.#options.subjects[this.#next++ % this.#options.subjects.length]!;
      const startedMs = performance.now();
      await this.#insist(subject, startedMs + PATIENCE_MS);
      this.#report.waitMsMax = Math.max(this.#report.waitMsMax, performance.now() - startedMs);
      await sleep(this.#pauseMs);
    }
  }

  async #insist(subject: string, deadlineMs: number): Promise<void> {
    for (;;) {
      const outcome = await this.#try(subject);
      if (outcome === true) return;
      if (performance.now() > deadlineMs || (typeof outcome === 'number' && outcome !== 503)) {
        this.#report.failed.push(`${subject}: ${outcome}`);
        return;
      }
      // A refused connection carried nothing; a 503 took nothing.
      if (outcome !== 503 && outcome !== 'ECONNREFUSED') this.#report.unknown += 1;
      this.#report.retried[outcome] = (this.#report.retried[outcome] ?? 0) + 1;
      await sleep(RETRY_MS);
    }
  }

  /** True when it was answered; else the status, or why there was none. */
  async #try(subject: string): Promise<true | number | string> {
    const { url, key, check } = this.#options;
    try {
      const response = await fetch(`${url}/v1/limits/check`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify(check(subject)),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status !== 200) {
        await response.arrayBuffer();
        return response.status;
      }
      this.#count(subject, (await response.json()) as { allowed: boolean; degraded?: string });
      return true;
    } catch (error) {
      const { cause, name } = error as Error & { cause?: { code?: string } };
      return cause?.code ?? name;
    }
  }

  #count(subject: string, { allowed, degraded }: { allowed: boolean; degraded?: string }): void {
    const report = this.#report;
    const units = degraded === undefined ? report.admitted : report.degradedAdmitted;
    if (allowed) units.set(subject, (units.get(subject) ?? 0) + 1);
    else if (degraded === undefined) report.denied += 1;
    else report.degradedDenied += 1;
  }
}

export const total = (units: ReadonlyMap<string, number>): number =>
  [...units.values()].reduce((sum, each) => sum + each, 0);

/** Units beyond the limit, over all subjects. */
export function excess(units: ReadonlyMap<string, number>, limit: number): number {
  return [...units.values()].reduce((sum, each) => sum + Math.max(0, each - limit), 0);
}

/** For the log of a run: what happened, in a line. */
export function summary(report: LimitReport): string {
  const { admitted, denied, degradedAdmitted, degradedDenied, retried, unknown, failed, waitMsMax } = report;
  const kinds = Object.entries(retried).map(([kind, count]) => `${count} × ${kind}`);
  return [
    `${total(admitted)} admitted, ${denied} denied`,
    `${total(degradedAdmitted) + degradedDenied} degraded (${total(degradedAdmitted)} of them admitted)`,
    `${failed.length} failed, retried ${kinds.join(', ') || 'none'} (${unknown} of unknown outcome)`,
    `longest wait ${waitMsMax.toFixed(0)} ms`,
  ].join('; ');
}
