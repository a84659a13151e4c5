/** Checks over HTTP and the bus: one, or up to 1,000 in one request, decided in order. */
import { type Call, json, type Reply, ratelimit, type Served, serve } from '@plinth/contracts';
import type { CheckAnswer, HeaderStyle } from '@plinth/contracts/ratelimit';
import type { Mode } from '@plinth/limiter';
import { limitHeaders } from '@plinth/rate-limit/headers';
import type { Engine } from '../core/engine.ts';
import type { RequestPolicies } from '../core/request-policies.ts';
import type { Reservations } from '../core/reservations.ts';
import type { Verdict } from '../core/verdict.ts';
import { traced } from './decision-span.ts';
import { deniedReply } from './denied.ts';
import { type CheckList, type CheckWish, fault, readChecks } from './read-check.ts';
import type { Turns } from './turns.ts';
import { VerdictList } from './verdict-list.ts';
import { checkAnswer } from './write-verdict.ts';

const JSON_HEADERS = { 'content-type': 'application/json' };

export interface DecideRooms {
  engine: Engine;
  policies: RequestPolicies;
  reservations: Reservations;
  turns: Turns;
  /** Unless the request says another. */
  headers: HeaderStyle;
}

type CheckCall = Call<{ status?: '200' | '429' | undefined; headers?: HeaderStyle | undefined }>;

export function decideOperations({ engine, policies, reservations, turns, headers }: DecideRooms): Served[] {
  const list = new VerdictList();

  function decide(call: CheckCall, mode: Mode): Reply | Promise<Reply> {
    const wish = readChecks(call.body, { mode, policies });
    if ('checks' in wish) return decideMany(call, wish);
    const verdicts = traced(call, [wish.check], () => engine.check([wish.check]));
    if (verdicts instanceof Promise) return verdicts.then(([verdict]) => finish(call, wish, verdict!));
    return finish(call, wish, verdicts[0]!);
  }

  function decideMany(call: CheckCall, { checks, wishing }: CheckList): Reply | Promise<Reply> {
    if (wishing >= 0) throw fault(`/${wishing}`, 'waitMs and reserveMs are for a check by itself');
    const verdicts = traced(call, checks, () => engine.check(checks));
    const answer = (all: readonly Verdict[]): Reply => ({ status: 200, headers: JSON_HEADERS, body: list.write(all) });
    return verdicts instanceof Promise ? verdicts.then(answer) : answer(verdicts);
  }

  function finish(call: CheckCall, wish: CheckWish, verdict: Verdict): Reply | Promise<Reply> {
    const { check, waitMs, reserveMs } = wish;
    const answer = checkAnswer(verdict);
    if (verdict.isAllowed && reserveMs !== undefined) answer.reservation = reservations.write(check, reserveMs);
    if (waitMs === undefined || verdict.delayUs === 0 || check.mode !== 'take') return dressed(call, answer);
    return turns
      .wait({ check, verdict, waitMs, signal: call.signal })
      .then((later) => dressed(call, later === verdict ? answer : checkAnswer(later)));
  }

  /** The answer with headers, and with a status that says it, where that was asked for. */
  function dressed({ query, peer }: CheckCall, answer: CheckAnswer): Reply {
    // Over the bus nobody reads headers who has not asked for them.
    const style = query.headers ?? (peer === undefined ? 'none' : headers);
    if (query.status === '429' && !answer.allowed) return deniedReply(answer, { style });
    return json(200, answer, style === 'none' ? undefined : limitHeaders(answer, { style }));
  }

  return [
    serve(ratelimit.checkLimits, (call) => decide(call as CheckCall, 'take')),
    serve(ratelimit.peek, (call) => decide(call as CheckCall, 'look')),
  ];
}
