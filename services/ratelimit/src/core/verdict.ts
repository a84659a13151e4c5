/** What is asked of the engine, and what it says: the same for every door. */
import type { Mode, Policy } from '@plinth/limiter';
import type { Descriptor, OnError, Rule } from './rule.ts';

/** One thing to be limited in a request. */
export interface Subject {
  readonly entries: Descriptor;
  /** Instead of the request's. 0 looks and takes nothing. */
  readonly cost?: number | undefined;
  /** Said by the caller: no rule is looked for, this is the limit. */
  readonly policy?: Policy | undefined;
  /** The rule by its name: `entries` are then only the values that tell keys apart. */
  readonly ruleName?: string | undefined;
}

export interface Check {
  readonly domain: string;
  readonly subjects: readonly Subject[];
  readonly cost: number;
  readonly mode: Mode;
}

/**
 * Checks and their subjects are made here alone, whatever the door: objects of one form are read at one place of one
 * speed, those of many forms several times slower.
 */
export function checkOf(domain: string, subjects: readonly Subject[], cost: number, mode: Mode): Check {
  return { domain, subjects, cost, mode };
}

export function subjectOf(entries: Descriptor, { cost, policy, ruleName }: SubjectMore = {}): Subject {
  return { entries, cost, policy, ruleName };
}

type SubjectMore = Partial<Omit<Subject, 'entries'>>;

/** What was decided about one subject. */
export interface Limit {
  /** Undefined for a limit that the caller said. */
  readonly rule: Rule | undefined;
  readonly name: string;
  /** Undefined: unlimited. */
  readonly policy: Policy | undefined;
  /** The state, as `Match.key`. */
  readonly key: string;
  /** By itself; a shadow rule may say no to a request that is allowed. */
  readonly isAllowed: boolean;
  /** Infinity when unlimited. */
  readonly remaining: number;
  readonly retryAfterUs: number;
  readonly resetUs: number;
  readonly delayUs: number;
  readonly isShadow: boolean;
  /** Why, where it is not the units: a block after denials or by hand, or a list of the rule. */
  readonly because: 'blocked' | 'allow-list' | 'deny-list' | undefined;
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** By position of the subject; undefined where no rule matched, which allows. */
  readonly limits: readonly (Limit | undefined)[];
  /** The backend was away, and so it was decided without it. */
  readonly degraded: OnError | undefined;
  /** Until the request could be allowed; 0 when it is, Infinity when never. */
  readonly retryAfterUs: number;
  /** How long an allowed request waits for its turn. */
  readonly delayUs: number;
}
