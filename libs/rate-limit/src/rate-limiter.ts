/** Limits as a program asks for them: by the service, over HTTP or the bus, or all in this process. */

import type { ApiKey } from '@plinth/client';
import { HttpTransport } from '@plinth/client/http-transport';
import { type BusLike, NatsTransport } from '@plinth/client/nats-transport';
import type { CheckAnswer, CheckRequest, PolicySpec } from '@plinth/contracts/ratelimit';
import { processClock } from '@plinth/limiter';
import type { LimitKey } from './check-form.ts';
import type { LeaseOptions } from './lease-book.ts';
import { LimitsService } from './limits-service.ts';
import { LocalLimiter } from './local-limiter.ts';
import type { RateLimiterCounts } from './rate-limiter-counts.ts';
import { RemoteLimiter } from './remote-limiter.ts';

/** What holds while the service is away: everybody may, nobody may, or a share of the limits in this process. */
export type OnError = 'open' | 'closed' | 'local';

export interface DecisionOptions {
  /** The promise rejects with the signal's reason. What was asked for may have been taken. */
  signal?: AbortSignal | undefined;
}

/** A place of a `concurrency` or `adaptive` limit. */
export interface Place {
  /** When denied there is no place, and `keep` and `release` do nothing. */
  readonly answer: CheckAnswer;
  /** Milliseconds until the place is lost, unless it is kept. Undefined without a place. */
  readonly expiresInMs: number | undefined;
  /** Keeps it for as long again. @throws Problem `lease_lost` */
  keep(): Promise<void>;
  /** Frees it; how the work went moves the limit of `adaptive`. Never throws: a place that is not freed expires. */
  release(outturn?: { latencyMs?: number; overload?: boolean }): Promise<void>;
}

export interface RateLimiter {
  /**
   * Takes units of one limit.
   *
   * @param limit - The name of a rule, or a limit. Of the latter hand over the same object each time.
   * @param cost - Whole units; 0 looks and takes nothing.
   * @returns The answer itself where it is decided here (with borrowed units, by a denial that still holds, while the
   * service is away): no promise then, and no turn of the event loop. Otherwise a promise that is settled within
   * `timeoutMs`.
   * @throws RangeError for a cost or key that is none, Problem for a limit that the service does not know (as a
   * rejection). Never because the service is away.
   */
  take(
    limit: string | PolicySpec,
    key: LimitKey,
    cost?: number,
    options?: DecisionOptions,
  ): CheckAnswer | Promise<CheckAnswer>;

  /** Takes what a whole request costs, over several limits, all or nothing; or many such requests, in order. */
  check(check: CheckRequest, options?: DecisionOptions): Promise<CheckAnswer>;
  check(checks: readonly CheckRequest[], options?: DecisionOptions): Promise<CheckAnswer[]>;

  /** What a check would say; takes nothing. */
  peek(check: CheckRequest, options?: DecisionOptions): Promise<CheckAnswer>;
  /** Settles a reservation with what it really cost, or charges what has happened, whatever is left. */
  report(use: CheckRequest | { reservation: string; cost: number }, options?: DecisionOptions): Promise<CheckAnswer>;
  /** Gives back what a check took. */
  refund(check: CheckRequest, options?: DecisionOptions): Promise<void>;
  /** Makes keys as good as new. */
  reset(check: CheckRequest, options?: DecisionOptions): Promise<void>;
  /** Denies keys for a while; 0 ends it. */
  block(check: CheckRequest & { forMs: number }, options?: DecisionOptions): Promise<void>;
  /** Takes a place of limits that count what is under way. */
  acquire(check: CheckRequest, options?: DecisionOptions): Promise<Place>;

  readonly counts: Readonly<RateLimiterCounts>;
  /** What it answers while the service is away. Undefined: there is no service that could be. */
  readonly onError?: OnError | undefined;
  /** Gives borrowed units back, tells those who wait what `onError` says, closes connections. A bus that was given stays open. */
  close(): Promise<void>;
}

/** Where it tells what happened to it; a service's log is one. */
export interface RateLimiterLog {
  info(msg: string, fields?: Record<string, unknown>): void;
  warn(msg: string, fields?: Record<string, unknown>): void;
}

interface CommonOptions {
  /** Sent with every check that does not say its own. Default `default`. */
  domain?: string | undefined;
  /** Processes like this one that share the limits, for decisions in process. Default 1. */
  replicas?: number | undefined;
}

export interface ServiceOptions extends CommonOptions {
  /** What holds when there is no answer in time. Default `open`. */
  onError?: OnError | undefined;
  /** `onError: 'local'`: the limit while the service is away. Default: those that it named last for checks of the same form. */
  fallback?: PolicySpec | undefined;
  /** Milliseconds that a decision takes at most, 1 to 60,000. Default 50. */
  timeoutMs?: number | undefined;
  /** Milliseconds for `peek`, `report`, `refund`, `reset`, `block`, which decide over nobody who waits. Default 2,000. */
  callTimeoutMs?: number | undefined;
  /** Milliseconds that further checks gather while others are under way. Default 2. */
  gatherMs?: number | undefined;
  /** Checks that wait for an answer at once; more are decided by `onError`. Default 10,000. */
  waitingMax?: number | undefined;
  /** Milliseconds that a denial is believed without asking again; 0: not at all. Default 1,000. */
  denyMs?: number | undefined;
  /** Borrow units and decide over them here. Default: every decision is asked for. */
  leases?: LeaseOptions | undefined;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Told when the service goes away and when it is back. */
  log?: RateLimiterLog | undefined;
}

export type RateLimiterOptions =
  | (ServiceOptions & { url: string; apiKey?: ApiKey | undefined; bus?: undefined; local?: undefined })
  | (ServiceOptions & { bus: BusLike; url?: undefined; local?: undefined })
  /** No service: this limit for every name. `statesMax` keys at most. */
  | (CommonOptions & { local: PolicySpec; statesMax?: number | undefined; url?: undefined; bus?: undefined });

/**
 * Makes a limiter. Connects when it is first asked, so that the service may start later.
 *
 * @throws RangeError for a setting out of its range, TypeError when `url` is none or `apiKey` is no key.
 */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { domain, replicas = 1 } = options;
  assertWhole('replicas', replicas, { min: 1, max: 100_000 });
  if (options.local !== undefined) {
    const { local, statesMax } = options;
    return new LocalLimiter({ clock: processClock(), spec: local, replicas, statesMax }, domain);
  }
  const transport =
    options.bus === undefined
      ? new HttpTransport({ url: options.url, apiKey: options.apiKey })
      : new NatsTransport(options.bus);
  const settings = checkedSettings(options);
  return new RemoteLimiter({
    ...settings,
    service: new LimitsService(transport, options.headers),
    domain,
    replicas,
    fallback: options.fallback,
    log: options.log,
    clock: processClock(),
  });
}

function checkedSettings(options: ServiceOptions) {
  const { onError = 'open', leases } = options;
  if (!['open', 'closed', 'local'].includes(onError)) {
    throw new RangeError(`onError is ${JSON.stringify(onError)}; it is open, closed or local`);
  }
  const { timeoutMs = 50, callTimeoutMs = 2_000, gatherMs = 2, waitingMax = 10_000, denyMs = 1_000 } = options;
  assertWhole('timeoutMs', timeoutMs, { min: 1, max: 60_000 });
  assertWhole('callTimeoutMs', callTimeoutMs, { min: 1, max: 600_000 });
  assertWhole('gatherMs', gatherMs, { min: 0, max: 1_000 });
  assertWhole('waitingMax', waitingMax, { min: 1, max: 1_000_000 });
  assertWhole('denyMs', denyMs, { min: 0, max: 60_000 });
  return { onError, leases: leases && checkedLeases(leases), timeoutMs, callTimeoutMs, gatherMs, waitingMax, denyMs };
}

function checkedLeases({ share = 0.1, ttlMs = 100 }: LeaseOptions): Required<LeaseOptions> {
  if (!(share > 0 && share <= 1)) throw new RangeError(`leases.share is ${share}; it is more than 0 and at most 1`);
  assertWhole('leases.ttlMs', ttlMs, { min: 10, max: 60_000 });
  return { share, ttlMs };
}

function assertWhole(name: string, value: number, { min, max }: { min: number; max: number }): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name} is ${value}; it is a whole number from ${min} to ${max}`);
}
