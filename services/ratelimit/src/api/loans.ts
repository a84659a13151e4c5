/** Places and loans: acquire, heartbeat, release; lease, return. */
import { json, ratelimit, type Served, serve } from '@plinth/contracts';
import { type AcquireAnswer, type LeaseAnswer, LIMITS } from '@plinth/contracts/ratelimit';
import type { Engine, Loan } from '../core/engine.ts';
import type { Places } from '../core/places.ts';
import type { RequestPolicies } from '../core/request-policies.ts';
import { ceilMs, retryMs } from '../core/whole-times.ts';
import { fault, readCheck, whole } from './read-check.ts';
import { checkAnswer } from './write-verdict.ts';

interface Lending {
  want?: unknown;
  ttlMs?: unknown;
  units?: unknown;
}

export interface LoansRooms {
  engine: Engine;
  places: Places;
  policies: RequestPolicies;
}

export function loanOperations({ engine, places, policies }: LoansRooms): Served[] {
  function readLease(body: unknown) {
    const { check } = readCheck(body, { mode: 'take', policies, cost: 1, besides: ['want', 'ttlMs'] });
    if (check.subjects.length !== 1) throw fault('/descriptors', 'units of one limit are lent at a time');
    const { want, ttlMs = 100 } = body as Lending;
    return {
      check,
      want: whole(want, { path: '/want', min: 1, max: LIMITS.unitsMax }),
      ttlMs: whole(ttlMs, { path: '/ttlMs', min: 10, max: 60_000 }),
    };
  }

  return [
    serve(ratelimit.acquire, async ({ body }) => {
      const { check, priority } = readCheck(body, { mode: 'take', policies });
      const { verdict, hold, expiresInMs } = await places.acquire(check, priority);
      const answer: AcquireAnswer = checkAnswer(verdict);
      if (hold !== undefined) Object.assign(answer, { hold, expiresInMs });
      return json(200, answer);
    }),
    serve(ratelimit.heartbeat, async ({ body }) => json(200, { expiresInMs: await places.heartbeat(body.hold) })),
    serve(ratelimit.release, async ({ body: { hold, latencyMs, overload } }) => {
      await places.release(hold, { latencyMs, isOverload: overload });
      return { status: 204 };
    }),
    serve(ratelimit.lease, ({ body }) => {
      const { check, ...wish } = readLease(body);
      const loan = engine.lend(check, wish.want);
      const answer = (made: Loan) => json(200, leaseAnswer(made, wish.ttlMs));
      return loan instanceof Promise ? loan.then(answer) : answer(loan);
    }),
    serve(ratelimit.giveBack, async ({ body }) => {
      const cost = whole((body as Lending).units, { path: '/units', min: 1, max: LIMITS.unitsMax });
      const { check } = readCheck(body, { mode: 'take', policies, cost, besides: ['units'] });
      return json(200, { limits: await engine.give(check) });
    }),
  ];
}

function leaseAnswer(loan: Loan, ttlMs: number): LeaseAnswer {
  const { name, policy, units, remaining, resetUs, retryAfterUs, lifeUs = Number.POSITIVE_INFINITY } = loan;
  return {
    name,
    units,
    ttlMs: Math.min(ttlMs, lifeUs / 1_000),
    remaining: Math.max(0, remaining),
    resetMs: ceilMs(resetUs),
    limit: policy.limit,
    windowMs: policy.windowUs / 1_000,
    algorithm: policy.name,
    ...(units > 0 ? {} : { retryAfterMs: retryMs(retryAfterUs) }),
  };
}
