/**
 * What a decision costs in the engine, on the embedded backend: `node services/ratelimit/src/core/engine.bench.ts`.
 * Microseconds per check of 1,000 hot keys, the least of ten slices.
 */
import { Ledger, type LimiterClock, policyOf, processClock } from '@plinth/limiter';
import { parseRules } from '../rules/parse-rules.ts';
import { MemoryBackend } from '../store/memory-backend.ts';
import { Breaker } from './breaker.ts';
import { Engine } from './engine.ts';
import { Fallback } from './fallback.ts';
import { LeaseDesk } from './lease-desk.ts';
import { Observatory } from './observatory.ts';
import { LiveRules } from './rule-book.ts';
import type { Check } from './verdict.ts';

const RULES = `
domain: api
rules:
  - {name: per-user, match: {user: "*"}, limit: 1000, window: 1s}
  - {name: per-path, match: {path: "*"}, limit: 1000, window: 1s}
`;

function engineOn(clock: LimiterClock): Engine {
  const rules = new LiveRules();
  rules.replace('files', parseRules(RULES, 'bench'));
  const backend = new MemoryBackend({ clock });
  const breaker = new Breaker({ failuresMax: 3, pauseMs: 200, now: () => 0 });
  const fallback = new Fallback({ ledger: new Ledger({ clock }), replicas: () => 1, onError: 'local' });
  const desk = new LeaseDesk({ backend, clock, breaker });
  const observer = new Observatory({ nowMs: Date.now(), show: (value) => value });
  return new Engine({
    rules,
    backend,
    breaker,
    fallback,
    desk,
    observer,
    now: Date.now,
    shadowAll: false,
    report() {},
  });
}

const KEYS = 1_000;
const policy = policyOf({ limit: 1_000, windowMs: 1_000 });
const of = (make: (key: string) => Check['subjects']): Check[] =>
  Array.from({ length: KEYS }, (_, at) => ({ domain: 'api', cost: 1, mode: 'take', subjects: make(`user-${at}`) }));
const CASES: Record<string, Check[]> = {
  'one rule': of((value) => [{ entries: [{ key: 'user', value }] }]),
  'two rules': of((value) => [{ entries: [{ key: 'user', value }] }, { entries: [{ key: 'path', value }] }]),
  'inline limit': of((value) => [{ entries: [{ key: 'key', value }], policy }]),
};

const engine = engineOn(processClock());
for (const [name, checks] of Object.entries(CASES)) {
  for (const batch of [1, 64]) {
    let bestUs = Number.POSITIVE_INFINITY;
    for (let slice = 0; slice < 10; slice++) {
      const startedMs = performance.now();
      let done = 0;
      for (let round = 0; round < 100; round++) {
        for (let at = 0; at + batch <= KEYS; at += batch) {
          engine.check(batch === 1 ? [checks[at]!] : checks.slice(at, at + batch));
          done += batch;
        }
      }
      bestUs = Math.min(bestUs, ((performance.now() - startedMs) * 1_000) / done);
    }
    console.log(`${name}, ${batch} at a time: ${bestUs.toFixed(2)} µs`);
  }
}
process.exit(0);
