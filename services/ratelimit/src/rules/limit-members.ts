/** The members of a rule that say how much and how often, in both languages: what they are called is the difference. */
import {
  ALGORITHM_NAMES,
  type AlgorithmName,
  PERIODS,
  type PolicySpec,
  policyOf,
  UNITS_MAX,
  WINDOW_MS_MAX,
} from '@plinth/limiter';
import type { DocumentReader, Item, Members } from './document-reader.ts';

/** Names in camelCase, as they are in our language. */
export const LIMIT_MEMBERS = [
  'algorithm',
  'window',
  'per',
  'burst',
  'period',
  'timeZone',
  'hold',
  'limitMin',
  'target',
  'shares',
] as const;
type LimitMember = (typeof LIMIT_MEMBERS)[number];

/** `timeZone` is `time_zone` in Envoy's. */
export type Naming = (member: string) => string;
export const camelCase: Naming = (member) => member;
export const snakeCase: Naming = (member) => member.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Lengths that are always the same; a month is none of them, see `period`. */
export const PER_MS = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000, week: 604_800_000 } as const;
const PERS = Object.keys(PER_MS) as (keyof typeof PER_MS)[];
/** As wide as `policyOf` takes them. */
const HOLD_MS = { leastMs: 100, mostMs: 86_400_000 };
const TARGET_MS = { leastMs: 1, mostMs: 600_000 };

export interface LimitContext {
  readonly reader: DocumentReader;
  /** The rule. */
  readonly owner: Item;
  readonly members: Members;
  readonly naming: Naming;
  /** What the limit is called where it is written. */
  readonly limit: { readonly item: Item; readonly units: number };
  /** When the rule names none. */
  readonly algorithm: AlgorithmName;
  /** A window that is said by other means: Envoy's unit. */
  readonly windowMs?: number | undefined;
}

/** What the algorithms are told by; a member that its algorithm cannot use is a contradiction. */
const MEANINGFUL: Readonly<Record<LimitMember, readonly AlgorithmName[]>> = {
  algorithm: ALGORITHM_NAMES,
  window: ['gcra', 'strict', 'sliding', 'fixed', 'leaky'],
  per: ['gcra', 'strict', 'sliding', 'fixed', 'leaky'],
  burst: ['gcra', 'leaky'],
  period: ['calendar'],
  timeZone: ['calendar'],
  hold: ['concurrency', 'adaptive'],
  limitMin: ['adaptive'],
  target: ['adaptive'],
  shares: ['adaptive'],
};

/** A limit as it is checked by the limiter, or undefined with faults told. */
export function limitSpec(context: LimitContext): PolicySpec | undefined {
  const { reader, members, naming, limit } = context;
  const faultsBefore = reader.faults.length;
  const get = (member: LimitMember) => members.get(naming(member));
  const algorithm = algorithmOf(context, get);
  if (algorithm === undefined) return undefined;
  for (const member of LIMIT_MEMBERS) {
    const item = get(member);
    if (item === undefined || MEANINGFUL[member].includes(algorithm)) continue;
    reader.fault(item, `${naming(member)} means nothing to ${algorithm}; it is for ${MEANINGFUL[member].join(', ')}`);
  }
  const read = <Item_, Value>(item: Item_ | undefined, reading: (item: Item_) => Value) =>
    item === undefined ? undefined : reading(item);
  const spec: PolicySpec = {
    algorithm,
    limit: limit.units,
    windowMs: windowMs(context, algorithm, get),
    burst: read(get('burst'), (item) => reader.whole(item, { least: 1, most: UNITS_MAX })),
    period: read(get('period'), (item) => reader.oneOf(item, PERIODS)),
    timeZone: read(get('timeZone'), (item) => reader.text(item)),
    holdMs: read(get('hold'), (item) => reader.durationMs(item, HOLD_MS)),
    limitMin: read(get('limitMin'), (item) => reader.whole(item, { least: 1, most: Math.max(1, limit.units) })),
    targetMs: read(get('target'), (item) => reader.durationMs(item, TARGET_MS)),
    shares: read(get('shares'), (item) => sharesOf(reader, item)),
  };
  return reader.faults.length > faultsBefore ? undefined : checked(context, spec);
}

function algorithmOf(context: LimitContext, get: (member: LimitMember) => Item | undefined): AlgorithmName | undefined {
  const { reader, owner, naming } = context;
  const written = get('algorithm');
  const named = written === undefined ? undefined : reader.oneOf(written, ALGORITHM_NAMES);
  if (written !== undefined && named === undefined) return undefined;
  const algorithm = named ?? (get('period') === undefined ? context.algorithm : 'calendar');
  const needs = { calendar: 'period', adaptive: 'target' } as const;
  const needed = needs[algorithm as keyof typeof needs];
  if (needed !== undefined && get(needed) === undefined) {
    return reader.fault(written ?? owner, `algorithm ${algorithm} needs ${naming(needed)}`);
  }
  return algorithm;
}

function windowMs(
  context: LimitContext,
  algorithm: AlgorithmName,
  get: (member: LimitMember) => Item | undefined,
): number | undefined {
  if (!MEANINGFUL.window.includes(algorithm)) return undefined;
  const { reader, owner, naming } = context;
  const window = get('window');
  const per = get('per');
  if (window !== undefined && per !== undefined)
    reader.fault(per, `${naming('window')} and per together; one of them is enough`);
  else if (window !== undefined) return reader.durationMs(window, { leastMs: 1, mostMs: WINDOW_MS_MAX });
  else if (per !== undefined) return PER_MS[reader.oneOf(per, PERS) ?? 'second'];
  // A period beside another algorithm is at fault already.
  else if (context.windowMs === undefined && get('period') === undefined)
    reader.fault(owner, 'a limit needs a time: window, per or period');
  return context.windowMs;
}

function sharesOf(reader: DocumentReader, item: Item): Record<string, number> {
  const shares: Record<string, number> = {};
  for (const [priority, member] of reader.members(item)) {
    const share = reader.share(member);
    if (share !== undefined) shares[priority] = share;
  }
  return shares;
}

/** What only the limiter knows: time zones, and rates that its clock cannot tell apart. */
function checked({ reader, limit }: LimitContext, spec: PolicySpec): PolicySpec | undefined {
  try {
    policyOf(spec);
    return spec;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return reader.fault(limit.item, error.message);
  }
}
