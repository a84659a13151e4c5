/**
 * How often each rule said yes and no: for `/metrics`, for the event stream, never by key. A rule that is loaded anew
 * goes on counting where it was, for it is known by its domain and name.
 */
import type { Rule } from './rule.ts';
import type { Limit } from './verdict.ts';

/** All of these only grow. */
export interface Counts {
  allowed: number;
  denied: number;
  /** A shadow rule said no; the request was not denied for it. */
  shadowDenied: number;
  /** Decided while the backend was away. */
  degraded: number;
  /** Allowed, and less than a fifth was left behind it. */
  nearLimit: number;
}

export interface RuleCounts extends Readonly<Counts> {
  readonly domain: string;
  readonly rule: string;
}

/** Rules that are counted by name; what is beyond is counted together, so that a scrape stays readable. */
const RULES_MAX = 10_000;
/** Envoy's default for "near the limit". */
const NEAR_SHARE_LEFT = 0.2;
/** Of limits that came with the request. Their domains may be anything, so they are not told apart. */
const INLINE = 'inline';
const OTHER = 'other';

class Row implements RuleCounts {
  readonly domain: string;
  readonly rule: string;
  allowed = 0;
  denied = 0;
  shadowDenied = 0;
  degraded = 0;
  nearLimit = 0;
  /** As of the last call of `changes`. */
  told: Counts = { allowed: 0, denied: 0, shadowDenied: 0, degraded: 0, nearLimit: 0 };

  constructor(domain: string, rule: string) {
    this.domain = domain;
    this.rule = rule;
  }
}

export class LiveCounts {
  readonly #rows = new Map<string, Row>();
  /** By identity: found without making a string. */
  readonly #ofRule = new Map<Rule, Row>();
  readonly #inline = new Row('', INLINE);
  readonly #other = new Row('', OTHER);
  #lastRule: Rule | undefined;
  #lastRow = this.#inline;
  /** Of requests, whatever the number of their limits. */
  readonly requests = { allowed: 0, denied: 0, degraded: 0, unmatched: 0 };

  /** Counts what one limit said in a decision that took something. */
  count(limit: Limit, isDegraded: boolean): void {
    const row = limit.rule === undefined ? this.#inline : this.#rowOf(limit.rule);
    if (limit.isAllowed) {
      row.allowed++;
      if (limit.policy !== undefined && limit.remaining < limit.policy.capacity * NEAR_SHARE_LEFT) row.nearLimit++;
    } else if (limit.isShadow) row.shadowDenied++;
    else row.denied++;
    if (isDegraded) row.degraded++;
  }

  /** What comes together is mostly of one rule: the last one is at hand. */
  #rowOf(rule: Rule): Row {
    if (rule === this.#lastRule) return this.#lastRow;
    this.#lastRow = this.#ofRule.get(rule) ?? this.#found(rule);
    this.#lastRule = rule;
    return this.#lastRow;
  }

  /** To be called when the rules have changed: lets go of those that were. */
  forgetIdentities(): void {
    this.#ofRule.clear();
    this.#lastRule = undefined;
  }

  /** Every rule that has been asked. */
  all(): RuleCounts[] {
    return this.#all().filter(isUsed);
  }

  /** Every rule, as far as `changes` has told. */
  told(): RuleCounts[] {
    return this.#all().flatMap(({ domain, rule, told }) => (isUsed(told) ? [{ domain, rule, ...told }] : []));
  }

  /** What has come in since the last call, of rules where something has. */
  changes(): RuleCounts[] {
    const changed: RuleCounts[] = [];
    for (const row of this.#all()) {
      const { allowed, denied, shadowDenied, degraded, nearLimit, told } = row;
      if (allowed + denied + shadowDenied === told.allowed + told.denied + told.shadowDenied) continue;
      changed.push({
        domain: row.domain,
        rule: row.rule,
        allowed: allowed - told.allowed,
        denied: denied - told.denied,
        shadowDenied: shadowDenied - told.shadowDenied,
        degraded: degraded - told.degraded,
        nearLimit: nearLimit - told.nearLimit,
      });
      row.told = { allowed, denied, shadowDenied, degraded, nearLimit };
    }
    return changed;
  }

  /** Lines in Prometheus' text format. */
  metrics(): string {
    const { allowed, denied, degraded, unmatched } = this.requests;
    const rows = this.all();
    const labels = ({ domain, rule }: RuleCounts) => `domain="${escaped(domain)}",rule="${escaped(rule)}"`;
    const verdicts = rows.flatMap((row) => [
      [`${labels(row)},verdict="allowed"`, row.allowed] as const,
      [`${labels(row)},verdict="denied"`, row.denied] as const,
      [`${labels(row)},verdict="shadow_denied"`, row.shadowDenied] as const,
    ]);
    return [
      counter('requests_total', 'Requests that were decided.', [
        ['verdict="allowed"', allowed],
        ['verdict="denied"', denied],
      ]),
      counter('requests_degraded_total', 'Requests that were decided while the backend was away.', [['', degraded]]),
      counter('requests_unmatched_total', 'Requests that no rule matched, and so were allowed.', [['', unmatched]]),
      counter('decisions_total', 'What rules said; a request may meet several.', verdicts),
      counter(
        'near_limit_total',
        'Decisions that left less than a fifth of a limit.',
        rows.map((row) => [labels(row), row.nearLimit]),
      ),
      counter(
        'degraded_total',
        'Decisions of rules while the backend was away.',
        rows.map((row) => [labels(row), row.degraded]),
      ),
    ].join('');
  }

  #all(): Row[] {
    return [...this.#rows.values(), this.#inline, this.#other];
  }

  #found(rule: Rule): Row {
    const name = JSON.stringify([rule.domain, rule.name]);
    let row = this.#rows.get(name);
    if (row === undefined && this.#rows.size >= RULES_MAX) row = this.#other;
    else if (row === undefined) {
      row = new Row(rule.domain, rule.name);
      this.#rows.set(name, row);
    }
    this.#ofRule.set(rule, row);
    return row;
  }
}

const isUsed = ({ allowed, denied, shadowDenied }: Counts): boolean => allowed + denied + shadowDenied > 0;

function counter(name: string, help: string, samples: readonly (readonly [labels: string, value: number])[]): string {
  const full = `plinth_ratelimit_${name}`;
  const lines = samples.map(([labels, value]) => `${full}${labels === '' ? '' : `{${labels}}`} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} counter\n${lines.join('')}`;
}

/** As the text format wants label values. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
