/** Keeps the leases of calls under way, and gives up calls whose job was taken away or cancelled. */
import type { LeasedJob, Renewed } from '../core/job.ts';
import type { PushEngine, PushLog } from './push-engine.ts';

/** A lease, and so the time until a job is done again after this process was killed. */
export const PUSH_LEASE_MS = 30_000;
/** Two renewals may fail before a lease is over. */
const RENEWALS_PER_LEASE = 3;

export interface LeaseKeeperOptions {
  readonly queue: string;
  readonly engine: Pick<PushEngine, 'renew'>;
  readonly log: PushLog;
  /** Default 30 s. */
  readonly leaseMs?: number | undefined;
}

export class LeaseKeeper {
  readonly leaseMs: number;
  readonly #options: LeaseKeeperOptions;
  /** By token: a job that was lost and leased again here is two. */
  readonly #kept = new Map<string, { id: string; abort: AbortController }>();
  #timer: NodeJS.Timeout | undefined;
  #isRenewing = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.leaseMs = options.leaseMs ?? PUSH_LEASE_MS;
  }

  /** @returns Aborted when the call is to be given up, with the reason. */
  keep(job: LeasedJob): AbortSignal {
    const abort = new AbortController();
    this.#kept.set(job.token, { id: job.id, abort });
    this.#arm();
    return abort.signal;
  }

  drop(job: LeasedJob): void {
    this.#kept.delete(job.token);
    if (this.#kept.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  abortAll(reason: string): void {
    for (const { abort } of this.#kept.values()) abort.abort(reason);
  }

  /** All that are kept, in one round trip; the next one only after it. */
  async #renew(): Promise<void> {
    const { queue, engine, log } = this.#options;
    const { leaseMs } = this;
    this.#timer = undefined;
    this.#isRenewing = true;
    const renewals = [...this.#kept].map(([token, { id }]) => ({ id, token, leaseMs, progress: undefined, log: [] }));
    try {
      const renewed = await engine.renew(queue, renewals);
      for (const [at, { token }] of renewals.entries()) this.#heed(token, renewed[at]!);
    } catch (error) {
      log.warn('leases of calls could not be renewed', { queue, jobs: renewals.length, error: String(error) });
    }
    this.#isRenewing = false;
    this.#arm();
  }

  #arm(): void {
    if (this.#kept.size === 0 || this.#isRenewing) return;
    this.#timer ??= setTimeout(() => void this.#renew(), this.leaseMs / RENEWALS_PER_LEASE);
  }

  #heed(token: string, renewed: Renewed): void {
    const reason = 'refused' in renewed ? 'the lease was lost' : renewed.cancel;
    if (reason !== undefined) this.#kept.get(token)?.abort.abort(reason);
  }
}
