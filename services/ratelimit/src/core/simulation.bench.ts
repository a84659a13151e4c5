/**
 * How long a simulation takes: `node services/ratelimit/src/core/simulation.bench.ts`. 100,000 requests of 5,000 keys
 * through rules of three domains, beside the present rules and alone.
 */
import { parseRules } from '../rules/parse-rules.ts';
import { Rehearsal } from './rehearsal.ts';
import { RuleBook } from './rule-book.ts';
import { Simulation } from './simulation.ts';
import { syntheticVisits } from './traffic.ts';

const REQUESTS = 100_000;
const DURATION_MS = 100_000;

function book(limit: number): RuleBook {
  const rules = (domain: string) => `domain: ${domain}
rules:
  - {match: {user: "*"}, limit: ${limit}, window: 10s}
  - {match: {path: /login}, limit: ${limit * 10}, window: 1m, algorithm: strict}
  - {match: {path: "*"}, limit: 100000, window: 1m, algorithm: sliding}
`;
  return new RuleBook(['api', 'web', 'jobs'].map((domain) => parseRules(rules(domain), domain)));
}

const subjects = [{ entries: [{ key: 'user', value: 'user-{n}' }] }, { entries: [{ key: 'path', value: '/login' }] }];
const traffic = {
  domain: 'api',
  cost: 1,
  pattern: 'random',
  burstSize: 1,
  distribution: 'skewed',
  keys: 5_000,
} as const;

for (const [what, subjectsOf, compares] of [
  ['one limit a request', subjects.slice(0, 1), false],
  ['one limit a request, beside the present rules', subjects.slice(0, 1), true],
  ['two limits a request, beside the present rules', subjects, true],
] as const) {
  const plan = { ratePerSecond: (REQUESTS / DURATION_MS) * 1_000, durationMs: DURATION_MS, seed: 1, startMs: 0 };
  const visits = [...syntheticVisits({ ...traffic, ...plan, subjects: subjectsOf })];
  const present = compares ? new Rehearsal(book(50), 0) : undefined;
  const candidate = new Rehearsal(book(20), 0);
  const simulation = new Simulation({ visits, fromMs: 0, untilMs: DURATION_MS, candidate, present, show: String });
  const started = performance.now();
  let longestMs = 0;
  for (let stepMs = started, more = true; more; ) {
    more = simulation.step(100);
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - stepMs);
    stepMs = nowMs;
  }
  const ms = performance.now() - started;
  const { requests } = simulation.answer('synthetic');
  const perRequest = ((ms * 1_000) / visits.length).toFixed(2);
  console.log(
    `${what.padEnd(48)} ${ms.toFixed(0)} ms, ${perRequest} µs each, ${requests.denied} denied; a step of 100: at most ${longestMs.toFixed(1)} ms`,
  );
}
