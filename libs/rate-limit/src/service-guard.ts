/**
 * What a service of the suite needs to have its own API limited, by API key: one call that costs no promise while units
 * are at hand. It never makes a service fail: without the limiter all requests are let in, and that is logged once.
 */
import type { BusLike } from '@plinth/client/nats-transport';
import type { Problem } from '@plinth/problem';
import { limitProblem } from './limit-problem.ts';
import { createRateLimiter, type RateLimiter, type RateLimiterLog } from './rate-limiter.ts';

/** Whose request it is, and the limit that its key is written with. */
export interface GuardedCall {
  /** The name of the key, never the key. */
  keyId: string;
  /** The name of a rule in the guard's domain. */
  limitName: string;
}

export interface ServiceGuardOptions {
  bus: BusLike;
  log: RateLimiterLog;
  /** Where the rules of API keys are. Default `api-keys`. */
  domain?: string | undefined;
  /** Milliseconds that a request waits for a decision at most. Default 20. */
  timeoutMs?: number | undefined;
}

export interface ServiceGuard {
  /** Undefined: it may pass. A promise only where the limiter has to be asked. Never throws, never rejects. */
  refusal(call: GuardedCall): Problem | undefined | Promise<Problem | undefined>;
  /** Gives borrowed units back. The bus stays open. */
  close(): Promise<void>;
}

const DOMAIN = 'api-keys';
/** A decision over the bus takes below 1 ms; beyond this the service is better off without. */
const TIMEOUT_MS = 20;

/** Asks the rate-limit service over the bus, with leases; without an answer in time a request is let in. */
export function serviceGuard({ bus, log, domain = DOMAIN, timeoutMs = TIMEOUT_MS }: ServiceGuardOptions): ServiceGuard {
  const limiter = createRateLimiter({ bus, domain, timeoutMs, onError: 'open', leases: {}, log });
  return guardWith(limiter, log);
}

/** The same with a limiter that is there. */
export function guardWith(limiter: RateLimiter, log: RateLimiterLog): ServiceGuard {
  const warned = new Set<string>();
  const letIn = (error: unknown): undefined => {
    const { message } = error as Error;
    if (!warned.has(message) && warned.size < WARNINGS_MAX) {
      warned.add(message);
      log.warn('API keys are not limited', { error: message });
    }
    return undefined;
  };
  return {
    refusal({ keyId, limitName }) {
      try {
        const answer = limiter.take(limitName, keyId);
        if (!(answer instanceof Promise)) return answer.allowed ? undefined : limitProblem(answer);
        return answer.then((told) => (told.allowed ? undefined : limitProblem(told)), letIn);
      } catch (error) {
        return letIn(error);
      }
    },
    close: () => limiter.close(),
  };
}

/** One per limit that is not there; a log need not know a thousand. */
const WARNINGS_MAX = 100;
