/**
 * Watches decisions as they fall: counts by rule, finds the keys that come most often, keeps the last decisions and
 * tells watchers what happens, once a second. Every replica sees what it decided itself.
 *
 * Looks (`peek`, cost 0) are not watched: they are questions, not traffic.
 */
import type { LimitObserver } from './engine.ts';
import { EventRing } from './event-ring.ts';
import { LiveCounts } from './live-counts.ts';
import { Recorder, type RecorderOptions } from './recorder.ts';
import { TopKeys } from './top-keys.ts';
import type { Check, Limit, Verdict } from './verdict.ts';
import { retryMs } from './whole-times.ts';

export interface ObservatoryOptions {
  /** Wall clock at the start, in ms. */
  nowMs: number;
  /** How values of keys are shown to people: as they are, or a print of them. */
  show: (value: string) => string;
  recorder?: RecorderOptions;
}

/** Denials that are told with their keys, in a second. */
const SAMPLES_MAX = 10;
/** Rules that one event names, busiest first. */
const RULES_TOLD_MAX = 200;

interface Sample {
  check: Check;
  subject: number;
  limit: Limit;
  atMs: number;
}

/** Cost: 0.3–0.4 µs for a request of one limit (`observatory.bench.ts`). */
export class Observatory implements LimitObserver {
  readonly counts = new LiveCounts();
  readonly hits: TopKeys;
  readonly denied: TopKeys;
  readonly recorder: Recorder;
  readonly events = new EventRing();
  readonly startedMs: number;
  readonly #show: (value: string) => string;
  #samples: Sample[] = [];
  #tickedMs: number;
  #toldRequests = { allowed: 0, denied: 0, degraded: 0, unmatched: 0 };

  constructor({ nowMs, show, recorder }: ObservatoryOptions) {
    this.startedMs = nowMs;
    this.#tickedMs = nowMs;
    this.hits = new TopKeys(nowMs);
    this.denied = new TopKeys(nowMs);
    this.recorder = new Recorder(recorder);
    this.#show = show;
  }

  decided(check: Check, verdict: Verdict, nowMs: number, keyHash?: number): void {
    if (check.mode === 'look') return;
    const { limits, degraded } = verdict;
    let isTraffic = false;
    let isMatched = false;
    for (let at = 0; at < limits.length; at++) {
      if ((check.subjects[at]!.cost ?? check.cost) === 0) continue;
      isTraffic = true;
      const limit = limits[at];
      if (limit === undefined) continue;
      isMatched = true;
      this.#limitDecided(check, at, limit, degraded !== undefined, nowMs);
    }
    if (!isTraffic) return;
    const { requests } = this.counts;
    if (verdict.isAllowed) requests.allowed++;
    else requests.denied++;
    if (degraded !== undefined) requests.degraded++;
    if (!isMatched) requests.unmatched++;
    this.recorder.record(check, verdict, nowMs, keyHash);
  }

  #limitDecided(check: Check, subject: number, limit: Limit, isDegraded: boolean, atMs: number): void {
    this.counts.count(limit, isDegraded);
    this.hits.count(limit.key);
    if (limit.isAllowed) return;
    this.denied.count(limit.key);
    if (this.#samples.length < SAMPLES_MAX) this.#samples.push({ check, subject, limit, atMs });
  }

  /** To be called once a second. Cost: 0.2 ms, and some 2 ms once a minute. */
  tick(nowMs: number): void {
    this.#tickedMs = nowMs;
    this.hits.tick(nowMs);
    this.denied.tick(nowMs);
    this.recorder.tick();
    const samples = this.#samples;
    this.#samples = [];
    for (const sample of samples) this.events.push('denied', this.#sampleJson(sample));
    const rules = this.counts.changes().sort((a, b) => volume(b) - volume(a));
    const told = rules.slice(0, RULES_TOLD_MAX);
    const more = rules.length - told.length;
    this.events.push('counts', { atMs: nowMs, requests: this.#newRequests(), rules: told, ...(more > 0 && { more }) });
  }

  /** The rules are others now. */
  rulesChanged({ version, domains }: { version: number; domains: readonly string[] }, nowMs: number): void {
    this.counts.forgetIdentities();
    // The page asks for all of them; here it is enough to know which there are.
    this.events.push('rules', { atMs: nowMs, version, domains: domains.slice(0, RULES_TOLD_MAX) });
  }

  /** The backend went away, or is back. */
  backendChanged(state: 'away' | 'back', nowMs: number): void {
    this.events.push('backend', { atMs: nowMs, state });
  }

  /** Everything since the start, up to the last `tick`: what the events from then on add to. */
  totals() {
    return {
      atMs: this.#tickedMs,
      startedMs: this.startedMs,
      requests: this.#toldRequests,
      rules: this.counts
        .told()
        .sort((a, b) => volume(b) - volume(a))
        .slice(0, RULES_TOLD_MAX),
    };
  }

  /** Lines in Prometheus' text format. */
  metrics(): string {
    const { decisions, bytes } = this.recorder.kept;
    return (
      this.counts.metrics() +
      gauge('recorded_decisions', 'Decisions kept for dry runs.', decisions) +
      gauge('recorded_bytes', 'About how much memory they take.', bytes)
    );
  }

  #newRequests() {
    const { requests } = this.counts;
    const before = this.#toldRequests;
    this.#toldRequests = { ...requests };
    return {
      allowed: requests.allowed - before.allowed,
      denied: requests.denied - before.denied,
      degraded: requests.degraded - before.degraded,
      unmatched: requests.unmatched - before.unmatched,
    };
  }

  #sampleJson({ check, subject, limit, atMs }: Sample) {
    const { entries } = check.subjects[subject]!;
    const descriptor = entries.map(({ key, value }) => ({ key, value: this.#show(value) }));
    const retryAfterMs = retryMs(limit.retryAfterUs);
    const shadow = limit.isShadow && { shadow: true };
    return { atMs, domain: check.domain, rule: limit.name, descriptor, retryAfterMs, ...shadow };
  }
}

const volume = ({ allowed, denied, shadowDenied }: { allowed: number; denied: number; shadowDenied: number }): number =>
  allowed + denied + shadowDenied;

function gauge(name: string, help: string, value: number): string {
  const full = `plinth_ratelimit_${name}`;
  return `# HELP ${full} ${help}\n# TYPE ${full} gauge\n${full} ${value}\n`;
}
