/** The states whose rate is shared out: one pool each, with the buckets of all streams that belong to it. */
import type { Descriptor } from '../../core/rule.ts';
import { Allotment, type Member } from './allotment.ts';
import type { QuotaRate } from './quota-rate.ts';
import type { BucketId, Strategy } from './rlqs-codec.ts';

/** Of a token: what rounding of a share may cost is never a whole one. */
const ROUNDING = 1e-6;

/** A bucket as one stream reports it. */
export interface Bucket {
  readonly id: BucketId;
  /** The stream. */
  readonly owner: unknown;
  /** In the order that a rule knows, once one is found. */
  entries: Descriptor;
  isMatched: boolean;
  searchedMs: number;
  /** When there were requests last. */
  usedMs: number;
  /** When it was reported last. */
  reportedMs: number;
  /** When an assignment was sent last. */
  toldMs: number;
  toldKind: Strategy['kind'] | undefined;
  /** What is assigned while there is no pool; undefined: it is abandoned. */
  fixed: Strategy | undefined;
  pool: Pool | undefined;
  member: Member | undefined;
}

export interface Pool {
  readonly key: string;
  readonly allotment: Allotment;
  readonly buckets: Map<Member, Bucket>;
  burst: number;
}

export class QuotaPools {
  readonly #pools = new Map<string, Pool>();
  /** Whose shares may have to change. */
  readonly #touched = new Set<Pool>();

  /** Puts a bucket into the pool of a state, which has this rate from now on. @returns How to report for it. */
  join(bucket: Bucket, key: string, { perS, burst }: QuotaRate): { report(units: number, elapsedMs: number): void } {
    // Another rule: what it was assigned under the old one it uses until it hears of the new.
    if (bucket.pool !== undefined && bucket.pool.key !== key) this.leave(bucket, false);
    const pool = bucket.pool ?? this.#pool(key, perS);
    pool.allotment.rate = perS;
    pool.burst = burst;
    this.#touched.add(pool);
    const member = bucket.member ?? pool.allotment.join();
    bucket.pool = pool;
    bucket.member = member;
    pool.buckets.set(member, bucket);
    return { report: (units, elapsedMs) => pool.allotment.report(member, units, elapsedMs) };
  }

  leave(bucket: Bucket, isGoodbye: boolean): void {
    const { pool, member } = bucket;
    if (pool === undefined || member === undefined) return;
    pool.allotment.leave(member, isGoodbye);
    pool.buckets.delete(member);
    bucket.pool = undefined;
    bucket.member = undefined;
    this.#touched.add(pool);
  }

  expire(nowMs: number): void {
    for (const pool of this.#pools.values()) {
      pool.allotment.expire(nowMs);
      this.#touched.add(pool);
    }
  }

  /** Gives shares anew where something has changed. @returns Buckets that are to be told. */
  divide(nowMs: number): Bucket[] {
    const changed: Bucket[] = [];
    for (const pool of this.#touched) {
      pool.allotment.expire(nowMs);
      if (pool.allotment.isEmpty) this.#pools.delete(pool.key);
      else for (const member of pool.allotment.divide()) changed.push(pool.buckets.get(member)!);
    }
    this.#touched.clear();
    return changed;
  }

  /** What a bucket is assigned; undefined while nothing is free for it. */
  strategyOf({ pool, member }: Bucket): Strategy | undefined {
    if (pool === undefined || member === undefined || member.share <= 0) return undefined;
    const burst = Math.max(1, Math.floor((pool.burst * member.share) / pool.allotment.rate + ROUNDING));
    return { kind: 'rate', perS: member.share, burst };
  }

  #pool(key: string, perS: number): Pool {
    const pool = this.#pools.get(key) ?? { key, allotment: new Allotment(perS), buckets: new Map(), burst: 1 };
    this.#pools.set(key, pool);
    return pool;
  }
}
