/** Limits that the service decides: with borrowed units and denials kept here, batches, a deadline and a circuit breaker. */
import type { AcquireAnswer, CheckAnswer, CheckRequest, PolicySpec } from '@plinth/contracts/ratelimit';
import type { LimiterClock } from '@plinth/limiter';
import { assertCost, checkOf, type LimitKey, SubjectIds, validCheck } from './check-form.ts';
import { CheckQueue, isAnswer } from './check-queue.ts';
import { CircuitBreaker } from './circuit-breaker.ts';
import { LeaseBook, type LeaseOptions } from './lease-book.ts';
import { type LimitsService, limitsEndpoints } from './limits-service.ts';
import { LocalDecider } from './local-decider.ts';
import { PendingDecisions } from './pending-decisions.ts';
import { HeldPlace, noPlace } from './place.ts';
import type { DecisionOptions, OnError, Place, RateLimiter, RateLimiterLog } from './rate-limiter.ts';
import { noCounts } from './rate-limiter-counts.ts';

export interface RemoteLimiterOptions {
  service: LimitsService;
  clock: LimiterClock;
  domain: string | undefined;
  onError: OnError;
  replicas: number;
  fallback: PolicySpec | undefined;
  timeoutMs: number;
  callTimeoutMs: number;
  gatherMs: number;
  waitingMax: number;
  denyMs: number;
  leases: Required<LeaseOptions> | undefined;
  log: RateLimiterLog | undefined;
}

/** Failures one after the other after which the service counts as away. */
const FAILURES_MAX = 3;
/** While it is away, one decision in so long tries it. */
const OPEN_MS = 1_000;
/** What who is denied because the service is away is told to wait: by then it was tried again. */
const CLOSED: CheckAnswer = Object.freeze({ allowed: false, limits: [], retryAfterMs: OPEN_MS, degraded: 'closed' });
const OPEN: CheckAnswer = Object.freeze({ allowed: true, limits: [], degraded: 'open' });
/** Calls beside decisions that are under way at once; more would be a queue without end while the service hangs. */
const CALLS_MAX = 1_000;

export class RemoteLimiter implements RateLimiter {
  readonly counts = noCounts();
  readonly onError: OnError;
  readonly #options: RemoteLimiterOptions;
  readonly #breaker: CircuitBreaker;
  readonly #pending: PendingDecisions;
  readonly #queue: CheckQueue;
  readonly #leases: LeaseBook;
  readonly #ids = new SubjectIds();
  readonly #local: LocalDecider | undefined;
  #calls = 0;
  #isClosed = false;

  /** @throws RangeError for a `fallback` that is no limit. */
  constructor(options: RemoteLimiterOptions) {
    const { service, clock, onError, replicas, fallback, timeoutMs, waitingMax, gatherMs, log } = options;
    const now = () => clock.nowUs() / 1_000;
    this.#options = options;
    this.onError = onError;
    this.#local = onError === 'local' ? new LocalDecider({ clock, spec: fallback, replicas }) : undefined;
    this.#breaker = new CircuitBreaker({
      failuresMax: FAILURES_MAX,
      openMs: OPEN_MS,
      now,
      onChange: (isOpen, reason) => tell(log, onError, isOpen, reason),
    });
    const away = (check: CheckRequest) => this.#away(check);
    this.#pending = new PendingDecisions({ timeoutMs, waitingMax, now, late: away });
    const send = (checks: readonly CheckRequest[], leftMs: number) => this.#send(checks, leftMs);
    this.#queue = new CheckQueue({ send, breaker: this.#breaker, gatherMs, now, away });
    this.#leases = new LeaseBook({ ...options, service, breaker: this.#breaker, counts: this.counts });
  }

  take(
    limit: string | PolicySpec,
    key: LimitKey,
    cost = 1,
    options?: DecisionOptions,
  ): CheckAnswer | Promise<CheckAnswer> {
    assertCost(cost);
    const id = this.#ids.idOf(limit, key);
    const held = this.#leases.take(id, cost);
    if (held !== undefined) {
      this.counts.decisions++;
      return held;
    }
    if (options?.signal?.aborted) return Promise.reject(options.signal.reason);
    const check = checkOf({ limit, key }, cost, this.#options.domain);
    const sentAtUs = this.#options.clock.nowUs();
    const answer = this.#decide(check, options?.signal);
    if (answer instanceof Promise) {
      return answer.then((told) => {
        this.#leases.learn(id, cost, told, sentAtUs);
        return told;
      });
    }
    return answer;
  }

  check(check: CheckRequest, options?: DecisionOptions): Promise<CheckAnswer>;
  check(checks: readonly CheckRequest[], options?: DecisionOptions): Promise<CheckAnswer[]>;
  async check(asked: CheckRequest | readonly CheckRequest[], { signal }: DecisionOptions = {}) {
    if (!Array.isArray(asked)) return this.#decide(this.#checked(asked as CheckRequest), signal);
    const checks = asked.map((check) => this.#checked(check));
    return Promise.all(checks.map((check) => this.#decide(check, signal)));
  }

  async peek(check: CheckRequest, options?: DecisionOptions): Promise<CheckAnswer> {
    return this.#call('peek', this.#checked(check), options);
  }

  async report(
    use: CheckRequest | { reservation: string; cost: number },
    options?: DecisionOptions,
  ): Promise<CheckAnswer> {
    return this.#call('report', 'reservation' in use ? use : this.#checked(use), options);
  }

  async refund(check: CheckRequest, options?: DecisionOptions): Promise<void> {
    const { limit, key, cost = 1 } = this.#checked(check);
    const isLent = limit !== undefined && key !== undefined && this.#leases.untake(this.#ids.idOf(limit, key), cost);
    if (!isLent) await this.#call('refund', this.#checked(check), options);
  }

  async reset(check: CheckRequest, options?: DecisionOptions): Promise<void> {
    await this.#change('reset', check, options);
  }

  async block(check: CheckRequest & { forMs: number }, options?: DecisionOptions): Promise<void> {
    await this.#change('block', check, options);
  }

  async acquire(check: CheckRequest, options: DecisionOptions = {}): Promise<Place> {
    const asked = this.#checked(check);
    this.counts.decisions++;
    if (!this.#breaker.enter()) return noPlace(this.#away(asked));
    const { timeoutMs, service } = this.#options;
    try {
      const answer = await service.ask<AcquireAnswer>(limitsEndpoints.acquire, asked, {
        timeoutMs,
        signal: options.signal,
      });
      this.#breaker.succeeded();
      return answer.hold === undefined
        ? noPlace(answer)
        : new HeldPlace(answer, (what, body) => this.#call(what, body));
    } catch (error) {
      if (isAnswer(error) || options.signal?.aborted) {
        this.#breaker.succeeded();
        throw error;
      }
      this.#failed(error);
      return noPlace(this.#away(asked));
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pending.endAll();
    await this.#leases.close();
    await this.#options.service.close();
  }

  /** At once while the service is away or too many wait. @throws The signal's reason. */
  #decide(check: CheckRequest, signal: AbortSignal | undefined): CheckAnswer | Promise<CheckAnswer> {
    this.counts.decisions++;
    if (!this.#breaker.isPassable || this.#isClosed) return this.#away(check);
    const pending = this.#pending.open(check, signal);
    if (pending === undefined) return this.#away(check);
    this.#queue.add(pending);
    return pending.promise;
  }

  async #send(checks: readonly CheckRequest[], timeoutMs: number): Promise<CheckAnswer[]> {
    const question = checks.length === 1 ? checks[0] : checks;
    try {
      const told = await this.#options.service.ask<CheckAnswer | CheckAnswer[]>(limitsEndpoints.check, question, {
        timeoutMs,
      });
      const answers = Array.isArray(told) ? told : [told];
      for (const [at, answer] of answers.entries()) this.#local?.learn(checks[at]!, answer);
      return answers;
    } catch (error) {
      if (!isAnswer(error)) this.counts.failures++;
      throw error;
    }
  }

  /** What holds without the service. Nothing is thrown here: a limiter that is away is no reason to fail. */
  #away(check: CheckRequest): CheckAnswer {
    this.counts.degraded++;
    if (this.onError === 'closed') return CLOSED;
    const answer = this.#localAnswer(check);
    return answer === undefined ? OPEN : { ...answer, degraded: 'local' };
  }

  /** Undefined also for a limit that is none: the service would say so, were it there. */
  #localAnswer(check: CheckRequest): CheckAnswer | undefined {
    try {
      return this.#local?.decide(check);
    } catch {
      return undefined;
    }
  }

  async #change(what: 'reset' | 'block', check: CheckRequest, options?: DecisionOptions): Promise<void> {
    const { limit, key } = check;
    const asked = this.#checked(check);
    await this.#call(what, asked, options);
    if (limit !== undefined && key !== undefined) this.#leases.forget(this.#ids.idOf(limit, key));
  }

  /** Beside decisions: nobody waits for it at a deadline, and its failures open no circuit. */
  async #call<Answer>(
    what: keyof typeof limitsEndpoints,
    body: unknown,
    { signal }: DecisionOptions = {},
  ): Promise<Answer> {
    if (this.#calls >= CALLS_MAX) throw new Error(`${CALLS_MAX} calls of the rate limiter are under way`);
    this.#calls++;
    try {
      return await this.#options.service.ask<Answer>(limitsEndpoints[what], body, {
        timeoutMs: this.#options.callTimeoutMs,
        signal,
      });
    } catch (error) {
      if (!isAnswer(error)) this.counts.failures++;
      throw error;
    } finally {
      this.#calls--;
    }
  }

  #failed(error: unknown): void {
    this.counts.failures++;
    this.#breaker.failed(error);
  }

  #checked<Check extends CheckRequest>(check: Check): Check {
    return validCheck({ ...check, domain: check.domain ?? this.#options.domain });
  }
}

function tell(log: RateLimiterLog | undefined, onError: OnError, isAway: boolean, reason: unknown): void {
  const error = reason instanceof Error ? reason.message : reason;
  if (isAway) log?.warn('the rate limiter is away; limits are decided without it', { onError, error });
  else log?.info('the rate limiter is back');
}
