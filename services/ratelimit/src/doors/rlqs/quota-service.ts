/**
 * `RateLimitQuotaService/StreamRateLimitQuotas`: clients decide by themselves and report; here their reports are debited
 * from the same states that every other door decides by, and each client is given its share of the limit's rate.
 *
 * A bucket is a descriptor. Since its keys have no order, the rules are tried with each order of them, that of the
 * sorted keys first, and the first that a rule matches is kept. A bucket that no rule matches is not limited.
 */
import { type Check, checkOf, type Limit, subjectOf, type Verdict } from '../../core/verdict.ts';
import type { Decider } from '../decider.ts';
import type { Call } from '../grpc/call.ts';
import type { StreamMethod } from '../grpc/grpc-server.ts';
import { GrpcError, RESOURCE_EXHAUSTED } from '../grpc/status.ts';
import { ordersOf } from './bucket-order.ts';
import { type Bucket, QuotaPools } from './quota-pools.ts';
import { quotaRateOf } from './quota-rate.ts';
import { QuotaStream } from './quota-stream.ts';
import { type Action, encodeActions, type Strategy, type Usage } from './rlqs-codec.ts';

export const QUOTA_SERVICE = 'envoy.service.rate_limit_quota.v3.RateLimitQuotaService';
export const STREAM_QUOTAS = `/${QUOTA_SERVICE}/StreamRateLimitQuotas`;

/** All buckets of a stream may come in one report. */
const MESSAGE_BYTES_MAX = 1_048_576;
/** Streams of all clients. */
const STREAMS_MAX = 1_024;
/** Buckets of all streams: about 1 KiB each. */
const BUCKETS_MAX = 100_000;
/** Checks that are asked for in one piece. */
const CHECKS_MAX = 1_000;
/** How long a bucket that no rule matched is not looked up again. */
const SEARCH_AGAIN_MS = 5_000;
/** Of an assignment's life, after how much a report renews it: Envoy reports every 5 s, whatever its config says. */
const RENEWAL = 0.25;
/** A client counts from when it hears of an assignment: so much of its life it may count longer than we do. */
const LATENESS = 0.1;

export interface QuotaOptions {
  readonly decider: Decider;
  /** How long an assignment counts without another. */
  readonly ttlMs: number;
  readonly bucketsPerStreamMax: number;
  /** A bucket without requests for so long is abandoned. */
  readonly idleMs: number;
  /** A bucket that no rule matches: not limited, or told to be forgotten. */
  readonly unknown: 'allow' | 'abandon';
  /** How many replicas share the limits, this one included: each gives away its part. */
  replicas(): number;
  /** Milliseconds of a clock that nobody sets. */
  nowMs(): number;
}

export class QuotaService {
  readonly options: QuotaOptions;
  readonly #streams = new Set<QuotaStream>();
  readonly #pools = new QuotaPools();
  readonly #timer: NodeJS.Timeout;
  #buckets = 0;
  #assignments = 0;
  #allowed = 0;
  #denied = 0;

  constructor(options: QuotaOptions) {
    this.options = options;
    this.#timer = setInterval(() => this.#tick(), Math.min(1_000, options.ttlMs / 4)).unref();
  }

  /** The method, for `GrpcServer`. */
  method(): StreamMethod {
    return { kind: 'stream', messageBytesMax: MESSAGE_BYTES_MAX, open: (call) => this.#open(call) };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Lines in Prometheus' text format; `prefix` begins their names. */
  metrics(prefix: string): string {
    const rows: [name: string, type: string, help: string, value: number][] = [
      ['streams', 'gauge', 'Clients with a quota stream.', this.#streams.size],
      ['buckets', 'gauge', 'Buckets that clients report.', this.#buckets],
      ['assignments_total', 'counter', 'Assignments sent, renewals included.', this.#assignments],
      ['allowed_total', 'counter', 'Requests that clients reported as allowed.', this.#allowed],
      ['denied_total', 'counter', 'Requests that clients reported as denied.', this.#denied],
    ];
    return rows
      .map(([name, type, help, value]) => {
        const full = `${prefix}_${name}`;
        return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${full} ${value}\n`;
      })
      .join('');
  }

  /** Makes room for buckets that a stream reports for the first time. @throws GrpcError when there is none. */
  addBuckets(count: number): void {
    if (this.#buckets + count > BUCKETS_MAX) {
      throw new GrpcError(RESOURCE_EXHAUSTED, `there are more than ${BUCKETS_MAX} buckets of all clients`);
    }
    this.#buckets += count;
  }

  /** Debits what clients used, and answers with what they get. Rejects when it cannot be decided at all. */
  async report(stream: QuotaStream, usages: readonly Usage[]): Promise<void> {
    const buckets = usages.map(({ bucket }) => stream.buckets.get(bucket.key)!);
    await this.#search(stream, buckets);
    const verdicts = await this.#ask(buckets.map((bucket, at) => debit(stream, bucket, usages[at]!)));
    if (!stream.isOpen) return;
    const nowMs = this.options.nowMs();
    for (const [at, bucket] of buckets.entries()) {
      // It may have been abandoned while it was asked for.
      if (stream.buckets.get(bucket.id.key) === bucket) this.#settle(bucket, usages[at]!, verdicts[at]!, nowMs);
    }
    this.#tellChanges(nowMs);
    this.#renew(stream, buckets, nowMs);
  }

  /** A client is gone: its shares are free, at once if it said goodbye. */
  close(stream: QuotaStream, isGoodbye: boolean): void {
    if (!this.#streams.delete(stream)) return;
    this.#buckets -= stream.buckets.size;
    for (const bucket of stream.buckets.values()) this.#pools.leave(bucket, isGoodbye);
    this.#tellChanges(this.options.nowMs());
  }

  #open(call: Call): QuotaStream {
    if (this.#streams.size >= STREAMS_MAX) {
      throw new GrpcError(RESOURCE_EXHAUSTED, `there are ${STREAMS_MAX} quota streams; that is the most`);
    }
    const stream = new QuotaStream(call, this);
    this.#streams.add(stream);
    return stream;
  }

  // ------------------------------------------------------------ deciding

  /** Finds the order of keys that a rule knows, of buckets that have none yet. */
  async #search({ domain }: QuotaStream, buckets: readonly Bucket[]): Promise<void> {
    const nowMs = this.options.nowMs();
    const checks: Check[] = [];
    const sought: Bucket[] = [];
    for (const bucket of buckets) {
      if (bucket.isMatched || bucket.searchedMs + SEARCH_AGAIN_MS > nowMs) continue;
      bucket.searchedMs = nowMs;
      for (const entries of ordersOf(bucket.id.entries)) {
        checks.push(checkOf(domain, [subjectOf(entries)], 0, 'look'));
        sought.push(bucket);
      }
    }
    const verdicts = await this.#ask(checks);
    for (const [at, bucket] of sought.entries()) {
      if (bucket.isMatched || verdicts[at]!.limits[0] === undefined) continue;
      bucket.isMatched = true;
      bucket.entries = checks[at]!.subjects[0]!.entries;
    }
  }

  async #ask(checks: readonly Check[]): Promise<Verdict[]> {
    const verdicts: Verdict[] = [];
    for (let at = 0; at < checks.length; at += CHECKS_MAX) {
      verdicts.push(...(await this.options.decider.check(checks.slice(at, at + CHECKS_MAX))));
    }
    return verdicts;
  }

  /** What a bucket is now: of a rule whose rate is shared, or something that needs no sharing. */
  #settle(bucket: Bucket, usage: Usage, verdict: Verdict, nowMs: number): void {
    const { allowed, denied, elapsedMs } = usage;
    this.#allowed += allowed;
    this.#denied += denied;
    if (allowed + denied > 0) bucket.usedMs = nowMs;
    const limit = verdict.limits[0];
    // The rule has gone, or another order of the keys is right now.
    if (limit === undefined) bucket.isMatched = false;
    const quota = quotaOf(limit, this.options.unknown);
    if (quota === undefined || 'kind' in quota) {
      this.#pools.leave(bucket, true);
      bucket.fixed = quota;
      return;
    }
    const { key, perS, burst } = quota;
    const part = Math.max(1, this.options.replicas());
    const member = this.#pools.join(bucket, key, { perS: perS / part, burst: burst / part });
    // Envoy tells whole seconds, rounded down: where our own clock says more, it was more.
    member.report(allowed + denied, Math.max(elapsedMs, nowMs - bucket.reportedMs));
    bucket.reportedMs = nowMs;
  }

  // ------------------------------------------------------------ telling

  /** Buckets whose share has changed, of whichever stream. */
  #tellChanges(nowMs: number): void {
    const actions = new Map<QuotaStream, Action[]>();
    for (const bucket of this.#pools.divide(nowMs)) {
      const stream = bucket.owner as QuotaStream;
      const told = actions.get(stream) ?? [];
      told.push(this.#assign(bucket, this.#pools.strategyOf(bucket), nowMs));
      actions.set(stream, told);
    }
    for (const [stream, told] of actions) this.#send(stream, told);
  }

  /** Buckets that were told nothing for a while, or something else than what holds now. */
  #renew(stream: QuotaStream, buckets: readonly Bucket[], nowMs: number): void {
    const actions: Action[] = [];
    for (const bucket of new Set(buckets)) {
      const isPooled = bucket.pool !== undefined;
      const strategy = isPooled ? this.#pools.strategyOf(bucket) : bucket.fixed;
      const isSame = isPooled || strategy?.kind === bucket.toldKind;
      const isNothingFree = isPooled && strategy === undefined;
      if (isNothingFree || (isSame && nowMs - bucket.toldMs < this.options.ttlMs * RENEWAL)) continue;
      actions.push(this.#assign(bucket, strategy, nowMs));
      if (strategy === undefined) this.#forget(stream, bucket);
    }
    this.#send(stream, actions);
  }

  #assign(bucket: Bucket, strategy: Strategy | undefined, nowMs: number): Action {
    bucket.toldMs = nowMs;
    bucket.toldKind = strategy?.kind;
    if (bucket.member !== undefined) bucket.member.expiresMs = nowMs + this.options.ttlMs * (1 + LATENESS);
    return { bucket: bucket.id, strategy };
  }

  #send(stream: QuotaStream, actions: readonly Action[]): void {
    if (actions.length === 0) return;
    this.#assignments += actions.length;
    stream.send(encodeActions(actions, this.options.ttlMs));
  }

  #forget(stream: QuotaStream, bucket: Bucket): void {
    this.#pools.leave(bucket, false);
    if (stream.buckets.delete(bucket.id.key)) this.#buckets -= 1;
  }

  /** What has expired is given to others, and what nobody uses is abandoned. */
  #tick(): void {
    const nowMs = this.options.nowMs();
    for (const stream of this.#streams) {
      const idle = [...stream.buckets.values()].filter(({ usedMs }) => usedMs + this.options.idleMs <= nowMs);
      for (const bucket of idle) this.#forget(stream, bucket);
      this.#send(
        stream,
        idle.map(({ id }) => ({ bucket: id, strategy: undefined })),
      );
    }
    this.#pools.expire(nowMs);
    this.#tellChanges(nowMs);
  }
}

function debit({ domain }: QuotaStream, { entries }: Bucket, { allowed }: Usage): Check {
  return checkOf(domain, [subjectOf(entries)], allowed, 'debit');
}

/** A rate to be shared, what is told without sharing, or undefined: nothing can be assigned. */
function quotaOf(
  limit: Limit | undefined,
  unknown: QuotaOptions['unknown'],
): { key: string; perS: number; burst: number } | Strategy | undefined {
  if (limit === undefined) return unknown === 'allow' ? { kind: 'allow' } : undefined;
  if (limit.isShadow || limit.policy === undefined || limit.because === 'allow-list') return { kind: 'allow' };
  if (limit.because !== undefined || limit.policy.capacity === 0) return { kind: 'deny' };
  const rate = quotaRateOf(limit.policy);
  return rate === undefined ? undefined : { key: limit.key, ...rate };
}
