/**
 * From the JSON of a check to what the engine takes. Written by hand: a schema's union of forms says of a mistake only
 * that it is none of them, and takes 3 µs where this takes 0.3. `read-check.test.ts` holds it to the schema.
 *
 * Where it stands is kept in numbers, and a place is written out only for a fault.
 */
import { DOMAIN, LIMITS, type PolicySpec, policySpec } from '@plinth/contracts/ratelimit';
import { type Mode, type Policy, UNITS_MAX } from '@plinth/limiter';
import { grouped, Problem } from '@plinth/problem';
import type { RequestPolicies } from '../core/request-policies.ts';
import type { Entry } from '../core/rule.ts';
import { type Check, checkOf, type Subject, subjectOf } from '../core/verdict.ts';

/** A check, and what else may be asked of it. */
export interface CheckWish {
  check: Check;
  waitMs: number | undefined;
  reserveMs: number | undefined;
  priority: string | undefined;
}

/** Checks of one request, and the first of them that wishes something besides; −1: none. */
export interface CheckList {
  checks: Check[];
  wishing: number;
}

export interface ReadOptions {
  mode: Mode;
  policies: RequestPolicies;
  /** Where the check stands in the body, as a JSON Pointer. Default: it is the body. */
  path?: string | undefined;
  /** Members besides those of a check, which the caller reads. */
  besides?: readonly string[] | undefined;
  /** Instead of what the body says. */
  cost?: number | undefined;
}

type Members = Record<string, unknown>;

const DEFAULT_DOMAIN = 'default';
const MEMBERS = new Set(['domain', 'descriptors', 'limit', 'key', 'cost', 'waitMs', 'priority', 'reserveMs']);
const { checksMax, descriptorsMax, entriesMax, entryKeyBytesMax, entryValueBytesMax } = LIMITS;
const COST = { min: 0, max: UNITS_MAX };
const WAIT_MS = { min: 0, max: LIMITS.waitMsMax };
const RESERVE_MS = { min: 100, max: LIMITS.reservationMsMax };
const PRIORITY = { bytesMin: 1, bytesMax: 64 };
const RULE_NAME = { bytesMin: 1, bytesMax: entryValueBytesMax };
const ENTRY_KEY = { bytesMin: 1, bytesMax: entryKeyBytesMax };
const ENTRY_VALUE = { bytesMin: 0, bytesMax: entryValueBytesMax };

/** @throws Problem `invalid_request` with the place of the fault. */
export function readCheck(body: unknown, options: ReadOptions): CheckWish {
  return new CheckReader(options).read(body);
}

/** One check, or a list of up to 1,000. @throws Problem `invalid_request` */
export function readChecks(body: unknown, options: ReadOptions): CheckWish | CheckList {
  const reader = new CheckReader(options);
  return Array.isArray(body) ? reader.readList(body) : reader.read(body);
}

class CheckReader {
  readonly #options: ReadOptions;
  readonly #besides: readonly string[] | undefined;
  /** Which of a list of checks is being read, and which of its descriptors; −1: none. */
  #check = -1;
  #descriptor = -1;
  /** The latest that was legal. */
  #domain = DEFAULT_DOMAIN;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#besides = options.besides;
  }

  readList(list: readonly unknown[]): CheckList {
    if (list.length === 0) throw this.#fault('', 'a list of checks has at least one');
    if (list.length > checksMax) {
      throw this.#fault('', `${grouped(list.length)} checks; the most is ${grouped(checksMax)}`);
    }
    const checks: Check[] = [];
    let wishing = -1;
    for (this.#check = 0; this.#check < list.length; this.#check++) {
      const { check, waitMs, reserveMs } = this.read(list[this.#check]);
      if (wishing < 0 && (waitMs !== undefined || reserveMs !== undefined)) wishing = this.#check;
      checks.push(check);
    }
    return { checks, wishing };
  }

  read(body: unknown): CheckWish {
    const members = this.#object(body, '', 'a check');
    for (const name in members) {
      if (name === 'descriptors' || MEMBERS.has(name) || this.#besides?.includes(name)) continue;
      throw this.#unknown(name, 'here');
    }
    const { cost = 1, waitMs, priority, reserveMs } = members;
    const domain = this.#domainOf(members.domain);
    const { mode, cost: units = this.#whole(cost, '/cost', COST) } = this.#options;
    return {
      check: checkOf(domain, this.#subjects(members), units, mode),
      waitMs: waitMs === undefined ? undefined : this.#whole(waitMs, '/waitMs', WAIT_MS),
      reserveMs: reserveMs === undefined ? undefined : this.#whole(reserveMs, '/reserveMs', RESERVE_MS),
      priority: priority === undefined ? undefined : this.#text(priority, '/priority', PRIORITY),
    };
  }

  /** The checks of a list are mostly of one domain. */
  #domainOf(domain: unknown): string {
    if (domain === undefined) return DEFAULT_DOMAIN;
    if (domain === this.#domain) return this.#domain;
    if (typeof domain !== 'string' || !DOMAIN.test(domain)) {
      throw this.#fault('/domain', 'a domain is 1–256 visible ASCII characters');
    }
    this.#domain = domain;
    return domain;
  }

  #subjects({ descriptors, limit, key }: Members): Subject[] {
    if (descriptors === undefined) return [this.#named(limit, key)];
    if (limit !== undefined || key !== undefined)
      throw this.#fault('', 'descriptors, or limit and key: one of the two');
    const list = this.#list(descriptors, '/descriptors', { what: 'descriptors', max: descriptorsMax });
    const subjects: Subject[] = [];
    for (let at = 0; at < list.length; at++) {
      this.#descriptor = at;
      subjects.push(this.#subject(list[at]));
    }
    this.#descriptor = -1;
    return subjects;
  }

  #named(limit: unknown, key: unknown): Subject {
    if (limit === undefined) throw this.#fault('', 'neither descriptors nor limit: there is nothing to be limited');
    const entries = this.#keyEntries(key);
    if (typeof limit === 'string') {
      return subjectOf(entries, { ruleName: this.#text(limit, '/limit', RULE_NAME) });
    }
    return subjectOf(entries, { policy: this.#policy(limit) });
  }

  #keyEntries(key: unknown): Entry[] {
    if (key === undefined) return [];
    const values = typeof key === 'string' ? [key] : this.#list(key, '/key', { what: 'parts', max: entriesMax });
    return values.map((value) => ({ key: 'key', value: this.#text(value, '/key', RULE_NAME) }));
  }

  /** `{"entries": [...]}`, or the short form, whose members are the entries. */
  #subject(descriptor: unknown): Subject {
    const members = this.#object(descriptor, '', 'a descriptor');
    if (!Array.isArray(members.entries)) return subjectOf(this.#shortEntries(members));
    const { cost, limit } = members;
    for (const name in members) {
      if (name !== 'entries' && name !== 'cost' && name !== 'limit') throw this.#unknown(name, 'beside entries');
    }
    const list = this.#list(members.entries, '/entries', { what: 'entries', max: entriesMax });
    const entries = list.map((entry, at) => this.#entry(entry, `/entries/${at}`));
    return subjectOf(entries, {
      cost: cost === undefined ? undefined : this.#whole(cost, '/cost', COST),
      policy: limit === undefined ? undefined : this.#policy(limit),
    });
  }

  #entry(given: unknown, place: string): Entry {
    const members = this.#object(given, place, 'an entry');
    const { key, value } = members;
    for (const name in members) {
      if (name !== 'key' && name !== 'value') throw this.#unknown(name, 'in an entry', place);
    }
    return {
      key: this.#text(key, `${place}/key`, ENTRY_KEY),
      value: this.#text(value, `${place}/value`, ENTRY_VALUE),
    };
  }

  #shortEntries(members: Members): Entry[] {
    const entries: Entry[] = [];
    let number: string | undefined;
    for (const key in members) {
      if (isNumber(key)) number = key;
      entries.push({ key: this.#text(key, '', ENTRY_KEY), value: this.#text(members[key], key, ENTRY_VALUE) });
    }
    if (entries.length === 0) throw this.#fault('', 'a descriptor has at least one entry');
    if (entries.length > entriesMax) throw this.#fault('', `${entries.length} entries; the most is ${entriesMax}`);
    // JSON parsers move such members to the front, and the order of entries means something.
    if (number !== undefined && entries.length > 1) {
      throw this.#fault('', `entry ${number} is a number: write {"entries": [...]}, which keeps its order`);
    }
    return entries;
  }

  #policy(limit: unknown): Policy {
    const spec = this.#object(limit, '/limit', 'a limit') as unknown as PolicySpec;
    return this.#options.policies.of(spec, this.#path('/limit'), () => {
      const parsed = policySpec.safeParse(spec);
      if (parsed.success) return;
      const [issue] = parsed.error.issues;
      throw this.#fault(['/limit', ...issue!.path].join('/'), issue!.message);
    });
  }

  // ---------------------------------------------------------------- words and numbers

  #object(value: unknown, place: string, what: string): Members {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Members;
    throw this.#fault(place, `${what} is an object`);
  }

  #list(value: unknown, place: string, { what, max }: { what: string; max: number }): unknown[] {
    if (!Array.isArray(value)) throw this.#fault(place, `${what} are a list`);
    if (value.length === 0) throw this.#fault(place, `a list of ${what} has at least one`);
    if (value.length > max) throw this.#fault(place, `${grouped(value.length)} ${what}; the most is ${max}`);
    return value;
  }

  #whole(value: unknown, place: string, range: { min: number; max: number }): number {
    const flaw = flawOfNumber(value, range);
    if (flaw !== undefined) throw this.#fault(place, flaw);
    return value as number;
  }

  #text(value: unknown, place: string, range: { bytesMin: number; bytesMax: number }): string {
    const flaw = flawOfText(value, range);
    if (flaw !== undefined) throw this.#fault(place, flaw);
    return value as string;
  }

  #unknown(name: string, where: string, place = ''): Problem {
    return this.#fault(`${place}/${name}`, `${JSON.stringify(name)} is not known ${where}`);
  }

  #fault(place: string, message: string): Problem {
    return fault(this.#path(place), message);
  }

  #path(place: string): string {
    const check = this.#check < 0 ? '' : `/${this.#check}`;
    const descriptor = this.#descriptor < 0 ? '' : `/descriptors/${this.#descriptor}`;
    const member = place === '' || place.startsWith('/') ? place : `/${place}`;
    return `${this.#options.path ?? ''}${check}${descriptor}${member}`;
  }
}

const isNumber = (name: string): boolean => {
  const first = name.charCodeAt(0);
  return first >= 48 && first <= 57 && /^\d+$/.test(name);
};

function flawOfNumber(value: unknown, { min, max }: { min: number; max: number }): string | undefined {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return undefined;
  const shown = value === undefined ? 'missing' : JSON.stringify(value);
  return `it is ${shown}; it must be a whole number from ${grouped(min)} to ${grouped(max)}`;
}

/** Characters take 1 to 3 bytes each, so that most texts need no counting. */
function flawOfText(
  value: unknown,
  { bytesMin, bytesMax }: { bytesMin: number; bytesMax: number },
): string | undefined {
  if (typeof value !== 'string') return value === undefined ? 'it is missing' : 'it must be a text';
  if (value.length < bytesMin) return 'it is empty';
  if (value.length * 3 <= bytesMax) return undefined;
  const bytes = Buffer.byteLength(value);
  return bytes <= bytesMax ? undefined : `it is ${grouped(bytes)} bytes; the most is ${grouped(bytesMax)}`;
}

/** A member beside a check. @throws Problem `invalid_request` */
export function whole(value: unknown, { path, ...range }: { path: string; min: number; max: number }): number {
  const flaw = flawOfNumber(value, range);
  if (flaw !== undefined) throw fault(path, flaw);
  return value as number;
}

/** @throws Problem `invalid_request` when key or value is too long: a key of 100 kB is an attack or a mistake. */
export function checkEntry({ key, value }: Entry, path: string): void {
  const flaw = flawOfText(key, ENTRY_KEY) ?? flawOfText(value, ENTRY_VALUE);
  if (flaw !== undefined) throw fault(path, flaw);
}

export function fault(path: string, message: string): Problem {
  const issues = [{ path, message }];
  return new Problem('invalid_request', `the body${path === '' ? '' : ` at ${path}`}: ${message}`, { issues });
}
