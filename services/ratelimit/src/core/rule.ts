/** A rule, ready to decide by: what `rules/` make of YAML and JSON, and what a match leads to. */
import type { Penalty, Policy } from '@plinth/limiter';

/** What happens to a decision when the backend is away. `local`: this replica's share of the limit is decided here. */
export type OnError = 'open' | 'closed' | 'local';

export interface Entry {
  readonly key: string;
  readonly value: string;
}

/** What a request says of itself: ordered pairs, as Envoy has them. */
export type Descriptor = readonly Entry[];

export interface Rule {
  readonly domain: string;
  /** Unique in its domain; given, or made of the path of its descriptor keys: `user/path=login`. */
  readonly name: string;
  /** Undefined: unlimited. */
  readonly policy: Policy | undefined;
  /** Entry keys that tell states apart, by position of the descriptor: false where one value (or `*`) is one state for all. */
  readonly isKeyed: readonly boolean[];
  readonly shadow: boolean;
  readonly onError: OnError;
  /** Share of what is left that a replica or client may borrow at once: 0 = every decision is asked for (`exact`). */
  readonly leaseShare: number;
  readonly leaseMs: number;
  readonly penalty: Penalty | undefined;
  /** By the last entry's value: another policy for that one. */
  readonly overrides: ReadonlyMap<string, Policy>;
  /** Values of the last entry that are never limited / always denied. CIDRs match addresses. */
  readonly allows: (value: string) => boolean;
  readonly denies: (value: string) => boolean;
  /** Envoy: names of rules in the same request that this one takes the place of. */
  readonly replaces: readonly string[];
  /** Envoy: the request is over its limit only when all of its rules with this mark are. */
  readonly quotaMode: boolean;
  /** Where it was written: `limits/api.yaml:12`. */
  readonly source: string;
}

/** A rule as a descriptor of one request met it. */
export interface Match {
  readonly rule: Rule;
  /** The state: rule and values, so joined that no two differ into one. */
  readonly key: string;
  /** The value of the last entry, for lists, overrides and top keys. */
  readonly subject: string;
}
