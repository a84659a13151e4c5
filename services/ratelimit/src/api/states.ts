/** What is done to states without a decision: refund, reset, block, report, explain. */
import { json, type Reply, ratelimit, type Served, serve } from '@plinth/contracts';
import { LIMITS } from '@plinth/contracts/ratelimit';
import type { Mode } from '@plinth/limiter';
import type { Engine } from '../core/engine.ts';
import type { RequestPolicies } from '../core/request-policies.ts';
import type { Reservations } from '../core/reservations.ts';
import { readCheck, whole } from './read-check.ts';
import { checkAnswer } from './write-verdict.ts';

export interface StatesRooms {
  engine: Engine;
  policies: RequestPolicies;
  reservations: Reservations;
}

export function stateOperations({ engine, policies, reservations }: StatesRooms): Served[] {
  const read = (body: unknown, mode: Mode = 'take', besides?: readonly string[]) =>
    readCheck(body, { mode, policies, besides }).check;
  const done = async (limits: number | Promise<number>): Promise<Reply> => json(200, { limits: await limits });

  return [
    serve(ratelimit.refund, ({ body }) => done(engine.give(read(body)))),
    serve(ratelimit.reset, ({ body }) => done(engine.reset(read(body)))),
    serve(ratelimit.block, ({ body }) => {
      const check = read(body, 'take', ['forMs']);
      const forMs = whole((body as { forMs?: unknown }).forMs, { path: '/forMs', min: 0, max: LIMITS.blockMsMax });
      return done(engine.block(check, forMs));
    }),
    serve(ratelimit.reportUse, async ({ body }) => {
      if (isSettlement(body)) {
        await reservations.settle(body.reservation, whole(body.cost, { path: '/cost', min: 0, max: LIMITS.unitsMax }));
        return json(200, { allowed: true, limits: [] });
      }
      const [verdict] = await engine.check([read(body, 'debit')]);
      return json(200, checkAnswer(verdict!));
    }),
    serve(ratelimit.explain, async ({ body }) => {
      const check = read(body, 'look');
      const [verdict] = await engine.check([check]);
      const paths = check.subjects.map(({ entries, ruleName, policy }) => {
        if (policy !== undefined) return { limit: policy.spec };
        return ruleName === undefined ? engine.book.explain(check.domain, entries) : { rule: ruleName };
      });
      const rules = verdict!.limits.map((limit) => limit?.rule && { name: limit.rule.name, source: limit.rule.source });
      return json(200, {
        verdict: checkAnswer(verdict!),
        descriptors: paths.map((path, at) => ({ ...path, met: rules[at] ?? null })),
      });
    }),
  ];
}

const isSettlement = (body: unknown): body is { reservation: string; cost: unknown } =>
  typeof (body as { reservation?: unknown } | null)?.reservation === 'string';
