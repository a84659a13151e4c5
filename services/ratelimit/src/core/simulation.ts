/**
 * What rules would make of traffic: beside what the present rules make of it, and beside what really happened.
 *
 * All rules begin with nothing taken, the real ones did not; so the fair comparison is the one with the present rules.
 * It goes in steps, so that whoever runs it decides how long the event loop is held at once.
 */
import type { Simulation as SimulationAnswer } from '@plinth/contracts/ratelimit';
import type { Rule } from './rule.ts';
import type { Visit } from './traffic.ts';
import type { Check, Limit, Verdict } from './verdict.ts';
import { retryMs } from './whole-times.ts';

export interface Decider {
  decide(check: Check, atMs: number): Verdict;
  readonly notSimulated: ReadonlySet<string>;
}

export interface SimulationOptions {
  visits: Iterable<Visit>;
  /** All visits are in it, ends included. */
  fromMs: number;
  untilMs: number;
  candidate: Decider;
  /** The present rules, to be compared with. */
  present?: Decider | undefined;
  /** How values of keys are shown. */
  show: (value: string) => string;
}

interface RuleRow {
  domain: string;
  rule: string;
  candidate: Said;
  present: Said;
  reallyDenied: number;
}
interface Said {
  allowed: number;
  denied: number;
  shadowDenied: number;
}
type Bucket = Required<SimulationAnswer['timeline']['buckets'][number]>;
type Example = SimulationAnswer['examples']['denied'][number];

const BUCKETS_MAX = 120;
const EXAMPLES_MAX = 10;
/** Rules that an answer names, those that deny most first. */
const ROWS_MAX = 500;

/** Cost: 1.5–3 µs a request and set of rules (`simulation.bench.ts`). */
export class Simulation {
  readonly #options: SimulationOptions;
  readonly #visits: Iterator<Visit>;
  readonly #rows = new Map<string, RuleRow>();
  /** The same rows, found without making a string: a rule of the candidate and its present twin have one. */
  readonly #rowOfRule = new Map<Rule | undefined, RuleRow>();
  readonly #bucketMs: number;
  readonly #buckets: Bucket[];
  readonly #requests = { all: 0, denied: 0, unmatched: 0, presentDenied: 0, reallyDenied: 0 };
  readonly #againstPresent = { newlyDenied: 0, newlyAllowed: 0 };
  readonly #againstReal = { newlyDenied: 0, newlyAllowed: 0 };
  readonly #denied: Example[] = [];
  readonly #changed: Example[] = [];
  #knowsReal = false;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#visits = options.visits[Symbol.iterator]();
    const { fromMs, untilMs } = options;
    this.#bucketMs = bucketMsFor(untilMs - fromMs);
    const first = Math.floor(fromMs / this.#bucketMs) * this.#bucketMs;
    const buckets = Math.max(1, Math.ceil((untilMs - first) / this.#bucketMs));
    this.#buckets = Array.from({ length: buckets }, (_, at) => emptyBucket(first + at * this.#bucketMs));
  }

  /** Decides the next requests. @returns False when there are no more. */
  step(requests: number): boolean {
    for (let left = requests; left > 0; left--) {
      const next = this.#visits.next();
      if (next.done) return false;
      this.#visit(next.value);
    }
    return true;
  }

  #visit(visit: Visit): void {
    const { check, atMs, real } = visit;
    const { candidate, present } = this.#options;
    const verdict = candidate.decide(check, atMs);
    const before = present?.decide(check, atMs);
    this.#countRules(verdict, before, real);
    this.#countRequest(visit, verdict, before);
    this.#keepExample(visit, verdict, before);
  }

  #countRules(verdict: Verdict, before: Verdict | undefined, real: Visit['real']): void {
    const subjects = Math.max(verdict.limits.length, before?.limits.length ?? 0);
    for (let at = 0; at < subjects; at++) {
      const now = verdict.limits[at];
      const then = before?.limits[at];
      if (now !== undefined) addTo(this.#rowOf(now).candidate, now);
      if (then !== undefined) addTo(this.#rowOf(then).present, then);
      const met = then ?? now;
      if (met !== undefined && real?.wasDenied(at)) this.#rowOf(met).reallyDenied++;
    }
  }

  #countRequest({ atMs, real }: Visit, verdict: Verdict, before: Verdict | undefined): void {
    const bucket = this.#bucketAt(atMs);
    this.#requests.all++;
    if (verdict.isAllowed) bucket.allowed++;
    else {
      bucket.denied++;
      this.#requests.denied++;
    }
    if (verdict.limits.every((limit) => limit === undefined)) this.#requests.unmatched++;
    if (before !== undefined) {
      if (!before.isAllowed) bucket.presentDenied++;
      if (!before.isAllowed) this.#requests.presentDenied++;
      compare(this.#againstPresent, verdict.isAllowed, before.isAllowed);
    }
    if (real === undefined) return;
    this.#knowsReal = true;
    if (!real.wasAllowed) bucket.reallyDenied++;
    if (!real.wasAllowed) this.#requests.reallyDenied++;
    compare(this.#againstReal, verdict.isAllowed, real.wasAllowed);
  }

  #bucketAt(atMs: number): Bucket {
    const at = Math.floor((atMs - this.#buckets[0]!.atMs) / this.#bucketMs);
    // The end of the span may be the begin of a bucket.
    if (at === this.#buckets.length && atMs <= this.#options.untilMs) this.#buckets.push(emptyBucket(atMs));
    // Recorded times are those of a wall clock, which somebody may have set.
    return this.#buckets[Math.min(this.#buckets.length - 1, Math.max(0, at))]!;
  }

  #keepExample(visit: Visit, verdict: Verdict, before: Verdict | undefined): void {
    const isChanged = before !== undefined && before.isAllowed !== verdict.isAllowed;
    if (!verdict.isAllowed && this.#denied.length < EXAMPLES_MAX)
      this.#denied.push(this.#example(visit, verdict, before));
    if (isChanged && this.#changed.length < EXAMPLES_MAX) this.#changed.push(this.#example(visit, verdict, before));
  }

  #example({ atMs, check, real }: Visit, verdict: Verdict, before: Verdict | undefined): Example {
    const { show } = this.#options;
    const denying = verdict.isAllowed ? before! : verdict;
    const rules = denying.limits.filter((limit) => limit !== undefined && !limit.isAllowed && !limit.isShadow);
    const { retryAfterUs } = verdict;
    return {
      atMs,
      domain: check.domain,
      descriptors: check.subjects.map(({ entries }) => entries.map(({ key, value }) => ({ key, value: show(value) }))),
      cost: check.cost,
      allowed: verdict.isAllowed,
      rules: rules.map((limit) => limit!.name),
      ...(!verdict.isAllowed && {
        retryAfterMs: retryMs(retryAfterUs),
      }),
      ...(before !== undefined && { presentAllowed: before.isAllowed }),
      ...(real !== undefined && { reallyAllowed: real.wasAllowed }),
    };
  }

  #rowOf({ rule, name }: Limit): RuleRow {
    const known = this.#rowOfRule.get(rule);
    if (known !== undefined) return known;
    const domain = rule?.domain ?? '';
    const id = JSON.stringify([domain, name]);
    const empty = { domain, rule: name, candidate: nothingSaid(), present: nothingSaid(), reallyDenied: 0 };
    const row = this.#rows.get(id) ?? empty;
    this.#rows.set(id, row);
    this.#rowOfRule.set(rule, row);
    return row;
  }

  answer(source: SimulationAnswer['traffic']['source']): SimulationAnswer {
    const { fromMs, untilMs, candidate, present } = this.#options;
    const { all, denied, unmatched, presentDenied, reallyDenied } = this.#requests;
    const comparesPresent = present !== undefined;
    const knowsReal = this.#knowsReal;
    const isShown = { comparesPresent, knowsReal };
    const rows = [...this.#rows.values()].sort((a, b) => weight(b) - weight(a));
    return {
      traffic: { source, requests: all, fromMs, untilMs },
      requests: {
        allowed: all - denied,
        denied,
        unmatched,
        ...(comparesPresent && { presentDenied }),
        ...(knowsReal && { reallyDenied }),
      },
      difference: {
        ...(comparesPresent && { present: this.#againstPresent }),
        ...(knowsReal && { real: this.#againstReal }),
      },
      rules: rows.slice(0, ROWS_MAX).map((row) => rowJson(row, isShown)),
      timeline: { bucketMs: this.#bucketMs, buckets: this.#buckets.map((bucket) => bucketJson(bucket, isShown)) },
      examples: { denied: this.#denied, changed: this.#changed },
      notSimulated: [...candidate.notSimulated],
    };
  }
}

/** The smallest of 1, 2, 5, 10, … milliseconds that cuts a span into no more than 120 pieces. */
export function bucketMsFor(spanMs: number): number {
  for (let power = 1; ; power *= 10) {
    // One more than fit: the first one begins before the span does.
    for (const step of [1, 2, 5]) if (spanMs / (step * power) < BUCKETS_MAX - 1) return step * power;
  }
}

const nothingSaid = (): Said => ({ allowed: 0, denied: 0, shadowDenied: 0 });
const emptyBucket = (atMs: number): Bucket => ({ atMs, allowed: 0, denied: 0, presentDenied: 0, reallyDenied: 0 });
const weight = ({ candidate, present }: RuleRow): number =>
  (candidate.denied + present.denied) * 1e6 + candidate.allowed + candidate.shadowDenied + present.allowed;

function addTo(said: Said, limit: Limit): void {
  if (limit.isAllowed) said.allowed++;
  else if (limit.isShadow) said.shadowDenied++;
  else said.denied++;
}

function compare(difference: { newlyDenied: number; newlyAllowed: number }, isAllowed: boolean, was: boolean): void {
  if (isAllowed && !was) difference.newlyAllowed++;
  if (!isAllowed && was) difference.newlyDenied++;
}

interface Shown {
  comparesPresent: boolean;
  knowsReal: boolean;
}

function rowJson({ domain, rule, candidate, present, reallyDenied }: RuleRow, { comparesPresent, knowsReal }: Shown) {
  return { domain, rule, ...candidate, ...(comparesPresent && { present }), ...(knowsReal && { reallyDenied }) };
}

function bucketJson({ atMs, allowed, denied, presentDenied, reallyDenied }: Bucket, shown: Shown) {
  return {
    atMs,
    allowed,
    denied,
    ...(shown.comparesPresent && { presentDenied }),
    ...(shown.knowsReal && { reallyDenied }),
  };
}
