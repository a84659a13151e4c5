/**
 * What a decision costs in process, beside rate-limiter-flexible's and express-rate-limit's memory:
 *
 *     node libs/limiter/src/limiter.bench.ts [rounds]
 *
 * Time: CPU nanoseconds per decision over 1,000 hot keys, all allowed, each library asked as its documents say, so that
 * those who answer with a promise are waited for. Memory: resident bytes per key for 500,000 keys that nobody else
 * holds. Every measurement is made in a process of its own, in turns; told are medians.
 */
import { execFileSync } from 'node:child_process';
import { MemoryStore, type Options } from 'express-rate-limit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { LeaseHolder, Ledger, Limiter, policyOf, processClock, type RateAlgorithm } from './limiter.ts';

const ROUNDS = Number(process.argv[2] ?? 7);
const HOT_KEYS = 1_000;
const DECISIONS = 1_000_000;
const WARM_UP = 300_000;
const MANY_KEYS = 500_000;
const WINDOW_MS = 3_600_000;
const LIMIT = 1_000_000_000;

type Take = (key: string) => unknown;

function limiter(algorithm: Exclude<RateAlgorithm, 'calendar'>): () => Take {
  return () => {
    const one = new Limiter({ algorithm, limit: LIMIT, windowMs: WINDOW_MS });
    return (key) => one.take(key).isAllowed;
  };
}

const SUBJECTS: Record<string, () => Take> = {
  gcra: limiter('gcra'),
  strict: limiter('strict'),
  sliding: limiter('sliding'),
  fixed: limiter('fixed'),
  calendar() {
    const one = new Limiter({ algorithm: 'calendar', limit: LIMIT, period: 'month', timeZone: 'Europe/Berlin' });
    return (key) => one.take(key).isAllowed;
  },
  'gcra, three limits at once'() {
    const ledger = new Ledger({ clock: processClock() });
    const policies = [1, 2, 3].map((hours) => policyOf({ limit: LIMIT, windowMs: WINDOW_MS * hours }));
    return (key) => {
      const charges = policies.map((policy, at) => ({ key: `${at}:${key}`, policy, cost: 1 }));
      return ledger.decide(charges, 'take').isAllowed;
    };
  },
  'a lease'() {
    const holder = new LeaseHolder();
    const terms = { policy: policyOf({ limit: LIMIT, windowMs: WINDOW_MS }), share: 1, ttlUs: 1e12 };
    return (key) => {
      const verdict = holder.take(key, 1, performance.now() * 1_000);
      if (verdict === 'yes') return true;
      const units = holder.want(key, terms, performance.now() * 1_000);
      if (units > 0)
        holder.granted(key, { units, retryAfterUs: 0, remaining: 1, resetUs: 1 }, performance.now() * 1_000);
      return verdict === 'low' || units > 0;
    };
  },
  'rate-limiter-flexible'() {
    const one = new RateLimiterMemory({ points: LIMIT, duration: WINDOW_MS / 1_000 });
    return (key) => one.consume(key);
  },
  'express-rate-limit'() {
    const store = new MemoryStore();
    store.init({ windowMs: WINDOW_MS } as Options);
    return (key) => store.increment(key);
  },
};
const IN_MEMORY = ['gcra', 'strict', 'rate-limiter-flexible', 'express-rate-limit'];

async function nanoseconds(take: Take): Promise<number> {
  const keys = Array.from({ length: HOT_KEYS }, (_, at) => `user-${123_456 + at}`);
  await ask(take, keys, WARM_UP);
  const before = process.cpuUsage();
  await ask(take, keys, DECISIONS);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1_000) / DECISIONS;
}

async function ask(take: Take, keys: readonly string[], times: number): Promise<void> {
  if (take(keys[0]!) instanceof Promise) for (let at = 0; at < times; at++) await take(keys[at % HOT_KEYS]!);
  else for (let at = 0; at < times; at++) take(keys[at % HOT_KEYS]!);
}

async function bytesPerKey(take: Take): Promise<number> {
  await fill(take, 'warm', 1_000);
  const before = settledRss();
  await fill(take, 'user', MANY_KEYS);
  return (settledRss() - before) / MANY_KEYS;
}

async function fill(take: Take, prefix: string, keys: number): Promise<void> {
  for (let at = 0; at < keys; at++) await take(`${prefix}-${100_000 + at}`);
}

function settledRss(): number {
  for (let times = 0; times < 3; times++) (globalThis as { gc?: () => void }).gc!();
  return process.memoryUsage.rss();
}

function measured(subject: string, what: 'ns' | 'bytes'): number {
  const args = ['--expose-gc', import.meta.filename, '--subject', subject, what];
  return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

function inTurns(subjects: readonly string[], what: 'ns' | 'bytes', rounds: number): Map<string, number> {
  const found = new Map<string, number[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [subject, numbers] of found) numbers.push(measured(subject, what));
  }
  return new Map([...found].map(([subject, numbers]) => [subject, numbers.sort((a, b) => a - b)[rounds >> 1]!]));
}

function report(): void {
  const ns = inTurns(Object.keys(SUBJECTS), 'ns', ROUNDS);
  const bytes = inTurns(IN_MEMORY, 'bytes', Math.min(ROUNDS, 3));
  const times = (peer: string, subject: string) => Number((ns.get(peer)! / ns.get(subject)!).toFixed(2));
  const rows = [...ns].map(([subject, cost]) => ({
    subject,
    ns: Math.round(cost),
    'RLF ×': times('rate-limiter-flexible', subject),
    'XRL ×': times('express-rate-limit', subject),
    'bytes per key': Math.round(bytes.get(subject) ?? Number.NaN),
  }));
  console.table(rows);
  console.log(JSON.stringify({ bench: 'limiter', node: process.version, rounds: ROUNDS, rows }));
}

const [, , flag, subject = '', what] = process.argv;
if (flag === '--subject') {
  const take = SUBJECTS[subject]!();
  console.log(what === 'ns' ? await nanoseconds(take) : await bytesPerKey(take));
  process.exit(0);
}
report();
