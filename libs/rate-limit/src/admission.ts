/**
 * How a request is let in or not, the same for every kind of server: who is it, what does it cost, what does the limiter
 * say, and what is set right when the work is done. All in one turn of the event loop where the limiter answers at once.
 */
import type { CheckAnswer, PolicySpec } from '@plinth/contracts/ratelimit';
import { stateKey } from '@plinth/limiter';
import { Problem } from '@plinth/problem';
import type { LimitKey } from './check-form.ts';
import type { HeaderStyle } from './headers.ts';
import { limitHeaders } from './headers.ts';
import type { RateLimiter } from './rate-limiter.ts';
import { byAddress, type Incoming, type KeyOf, usableKey } from './request-key.ts';
import { atItsTurn, isLater } from './turn.ts';

export interface AdmissionOptions<Request> {
  limiter: RateLimiter;
  /** The name of a rule, or a limit. */
  limit: string | PolicySpec;
  /** What is limited. Default `byAddress()`, which trusts no proxy. */
  key?: KeyOf<Request> | undefined;
  /** Units. Default 1. */
  cost?: number | ((request: Request) => number) | undefined;
  /** True: this request is not limited. */
  skip?: ((request: Request) => boolean | Promise<boolean>) | undefined;
  /**
   * `failed`: a request that went well gets its units back when it is answered, so that only failures count. They are
   * taken first, and thus a thousand guesses at once are no way around. Default `all`.
   */
  count?: 'all' | 'failed' | undefined;
  /** `count: 'failed'`: which answers are failures. Default those of 400 and above. */
  isFailure?: ((status: number) => boolean) | undefined;
  /** The cost is an estimate until `settle` is called; if it never is, the estimate holds after so many milliseconds. */
  reserveMs?: number | undefined;
  /** Default `draft-10`. */
  headers?: HeaderStyle | undefined;
  /** `draft-10`: names whose limit it is by a keyed hash, as `pk`. */
  partitionSecret?: string | undefined;
  /**
   * The service refuses the question itself: no such limit, no permission. The request is then handled as if the service
   * were away, since it is no fault of the caller. Default: a process warning, once for each code.
   */
  onFault?: ((problem: Problem) => void) | undefined;
}

/** What a request that was let in may do with what it took. */
export interface Permit {
  readonly answer: CheckAnswer;
  /**
   * Says what it really cost: the rest is given back, or more is taken, also into debt. Once; later calls do nothing.
   * Never throws: what cannot be told is in `counts.failures`.
   */
  settle(actualCost: number): void;
}

/** A permit as the server's side of it needs it. */
export interface Admitted extends Permit {
  readonly headers: Readonly<Record<string, string>>;
  /** To be told how the request was answered. Undefined: it does not matter. */
  readonly answered: ((status: number) => void) | undefined;
}

const NO_HEADERS = Object.freeze({});
const UNLIMITED: CheckAnswer = Object.freeze({ allowed: true, limits: [] });
const SKIPPED: Admitted = { answer: UNLIMITED, headers: NO_HEADERS, settle() {}, answered: undefined };

export class Admission<Request> {
  readonly #options: AdmissionOptions<Request>;
  readonly #keyOf: KeyOf<Request>;
  readonly #byAddress: KeyOf<unknown>;
  readonly #onFault: (problem: Problem) => void;

  /** @throws RangeError for options that mean nothing. */
  constructor(options: AdmissionOptions<Request>) {
    const { count = 'all', key, limit, cost } = options;
    if (count !== 'all' && count !== 'failed')
      throw new RangeError(`count is ${JSON.stringify(count)}; it is all or failed`);
    if (typeof limit !== 'object' && !limit) throw new RangeError('limit is missing: the name of a rule, or a limit');
    if (typeof cost === 'number' && !(Number.isInteger(cost) && cost >= 0))
      throw new RangeError(`cost is ${cost}; it is a whole number from 0`);
    this.#options = options;
    this.#byAddress = byAddress();
    this.#keyOf = key ?? watchful(this.#byAddress);
    this.#onFault = options.onFault ?? warnOnce();
  }

  /** @throws What the functions of the options throw, RangeError for a cost that is none, the signal's reason. */
  admit(request: Request, incoming: Incoming, signal?: AbortSignal): Admitted | Promise<Admitted> {
    const skips = this.#options.skip?.(request) ?? false;
    if (skips === false) return this.#withKey(request, incoming, signal);
    if (skips === true) return SKIPPED;
    return skips.then((late) => (late ? SKIPPED : this.#withKey(request, incoming, signal)));
  }

  #withKey(request: Request, incoming: Incoming, signal?: AbortSignal): Admitted | Promise<Admitted> {
    const found = this.#keyOf(request, incoming);
    if (!isLater(found)) return this.#decide(request, incoming, found, signal);
    return found.then((key) => this.#decide(request, incoming, key, signal));
  }

  #decide(request: Request, incoming: Incoming, found: LimitKey | undefined, signal?: AbortSignal) {
    const { cost: costOf = 1 } = this.#options;
    const key = usableKey(found) ?? ['address', this.#byAddress(undefined, incoming) as string];
    const cost = typeof costOf === 'number' ? costOf : costOf(request);
    const answer = atItsTurn(this.#ask(key, cost, signal));
    if (!(answer instanceof Promise)) return this.#admitted(key, cost, answer);
    return answer.then(
      (late) => this.#admitted(key, cost, late),
      (thrown) => this.#admitted(key, cost, this.#faulty(thrown)),
    );
  }

  #ask(key: LimitKey, cost: number, signal?: AbortSignal): CheckAnswer | Promise<CheckAnswer> {
    const { limiter, limit, reserveMs } = this.#options;
    if (reserveMs === undefined) return limiter.take(limit, key, cost, { signal });
    return limiter.check({ limit, key: mutable(key), cost, reserveMs }, { signal });
  }

  #faulty(thrown: unknown): CheckAnswer {
    if (!(thrown instanceof Problem)) throw thrown;
    this.#onFault(thrown);
    const isClosed = this.#options.limiter.onError === 'closed';
    return { allowed: !isClosed, limits: [], degraded: isClosed ? 'closed' : 'open' };
  }

  #admitted(key: LimitKey, cost: number, answer: CheckAnswer): Admitted {
    const { headers: style, partitionSecret, limiter, limit, count, isFailure = isError } = this.#options;
    const partition = partitionSecret === undefined ? undefined : { key: textOf(key), secret: partitionSecret };
    const headers = limitHeaders(answer, { style, partition });
    const subject = { limit, key: mutable(key) };
    const settle = oncePerRequest(answer, (actualCost: number) =>
      settleUse(limiter, { answer, subject, cost, actualCost }),
    );
    if (count !== 'failed') return { answer, headers, settle, answered: undefined };
    return { answer, headers, settle, answered: (status) => void (isFailure(status) || settle(0)) };
  }
}

interface Use {
  answer: CheckAnswer;
  subject: { limit: string | PolicySpec; key: string | string[] };
  cost: number;
  actualCost: number;
}

/** Fire and forget: the request has been answered, and units that are not given back come back with time. */
function settleUse(limiter: RateLimiter, { answer, subject, cost, actualCost }: Use): void {
  const { reservation } = answer;
  const told =
    reservation !== undefined
      ? limiter.report({ reservation, cost: actualCost })
      : actualCost > cost
        ? limiter.report({ ...subject, cost: actualCost - cost })
        : actualCost < cost
          ? limiter.refund({ ...subject, cost: cost - actualCost })
          : undefined;
  told?.catch(() => {});
}

/** Nothing was taken for a request that was denied, or let in without the service; and what is settled is settled. */
function oncePerRequest(answer: CheckAnswer, settle: (actualCost: number) => void): (actualCost: number) => void {
  let isOver = !answer.allowed || answer.degraded === 'open' || answer.degraded === 'closed';
  return (actualCost) => {
    if (isOver) return;
    if (!(Number.isInteger(actualCost) && actualCost >= 0))
      throw new RangeError(`the actual cost is ${actualCost}; it is a whole number from 0`);
    isOver = true;
    settle(actualCost);
  };
}

const isError = (status: number): boolean => status >= 400;
const textOf = (key: LimitKey): string => (typeof key === 'string' ? key : stateKey(key));
const mutable = (key: LimitKey): string | string[] => (typeof key === 'string' ? key : [...key]);

/** Nobody has said which proxies there are. When there seem to be some, that is to be known. */
function watchful(keyOf: KeyOf<unknown>): KeyOf<unknown> {
  let isTold = false;
  return (request, incoming) => {
    if (!isTold && incoming.header('x-forwarded-for') !== undefined) {
      isTold = true;
      const words = 'requests have X-Forwarded-For, and no proxy is trusted: all that come through one share a limit';
      process.emitWarning(`${words}; name it with key: byAddress({ trust })`, 'RateLimitWarning');
    }
    return keyOf(request, incoming);
  };
}

function warnOnce(): (problem: Problem) => void {
  const told = new Set<string>();
  return (problem) => {
    if (told.has(problem.code)) return;
    told.add(problem.code);
    process.emitWarning(`${problem.message}; requests are not limited`, {
      type: 'RateLimitWarning',
      code: problem.code,
    });
  };
}
