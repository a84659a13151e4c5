/** What a batch of commands comes to: answers that are known, and checks whose verdicts the others are made of. */
import { isUtf8 } from 'node:buffer';
import { DOMAIN, LIMITS } from '@plinth/contracts/ratelimit';
import type { Entry } from '../../core/rule.ts';
import { type Check, checkOf, subjectOf, type Verdict } from '../../core/verdict.ts';
import { ceilSeconds } from '../../core/whole-times.ts';
import type { RespReader } from './resp-reader.ts';
import { FIVE, type RespWriter } from './resp-writer.ts';
import type { ThrottleChecks } from './throttle-checks.ts';
import { type ThrottlePolicies, wholeIn } from './throttle-policies.ts';

const QUANTITY = { what: 'quantity', least: 0, most: LIMITS.unitsMax };
const COST = { what: 'cost', least: 0, most: LIMITS.unitsMax };
const UNAVAILABLE = Buffer.from('-UNAVAILABLE the limiter cannot decide now\r\n');
const FAILED = Buffer.from('-ERR the limiter failed\r\n');

export interface ThrottleOptions {
  /** Of all checks that `CL.THROTTLE` asks. */
  readonly domain: string;
  readonly checks: ThrottleChecks;
}

export class Plan {
  readonly checks: Check[] = [];
  /** In the order of the commands; undefined: made of the next verdict. */
  readonly #answers: (Buffer | undefined)[] = [];

  get size(): number {
    return this.#answers.length;
  }

  answer(bytes: Buffer): void {
    this.#answers.push(bytes);
  }

  refuse(text: string): void {
    this.#answers.push(Buffer.from(`-${text.replace(/[\r\n]+/g, ' ')}\r\n`));
  }

  /** `CL.THROTTLE key max_burst count period [quantity]`. @throws RangeError */
  throttle(reader: RespReader, policies: ThrottlePolicies, { domain, checks }: ThrottleOptions): void {
    const policy = policies.of(reader);
    const cost = reader.args === 6 ? wholeIn(reader, 5, QUANTITY) : 1;
    const { bytes, starts, ends } = reader;
    const known = cost === 1 ? checks.find(bytes, starts[1]!, ends[1]!, policy) : undefined;
    if (known !== undefined) {
      this.#ask(known);
      return;
    }
    const entries = [{ key: 'key', value: textIn(reader, 1, 'key') }];
    const check = checkOf(domain, [subjectOf(entries, { policy })], cost, 'take');
    if (cost === 1) checks.keep(bytes, starts[1]!, ends[1]!, policy, check);
    this.#ask(check);
  }

  /** `CL.CHECK domain cost key value [key value …]`. @throws RangeError */
  check(reader: RespReader): void {
    const domain = reader.text(1);
    if (!DOMAIN.test(domain)) throw new RangeError('a domain is 1–256 visible ASCII characters');
    const cost = wholeIn(reader, 2, COST);
    const entries: Entry[] = [];
    for (let arg = 3; arg < reader.args; arg += 2) entries.push(entryIn(reader, arg));
    this.#ask(checkOf(domain, [subjectOf(entries)], cost, 'take'));
  }

  /** Writes all answers. `verdicts`: of `checks`, or why there are none. */
  write(writer: RespWriter, verdicts: readonly Verdict[] | Error): void {
    let next = 0;
    for (const answer of this.#answers) {
      if (answer !== undefined) writer.raw(answer);
      else if (verdicts instanceof Error) writer.raw(FAILED);
      else writeVerdict(writer, verdicts[next]!, this.checks[next++]!);
    }
  }

  #ask(check: Check): void {
    this.checks.push(check);
    this.#answers.push(undefined);
  }
}

/** limited, limit, remaining, retry_after, reset_after: seconds rounded up, so that whoever waits is not early. */
function writeVerdict(writer: RespWriter, verdict: Verdict, check: Check): void {
  if (verdict.degraded === 'closed') {
    writer.raw(UNAVAILABLE);
    return;
  }
  const limit = verdict.limits[0];
  const policy = limit === undefined ? check.subjects[0]!.policy : limit.policy;
  writer.raw(FIVE);
  writer.integer(verdict.isAllowed ? 0 : 1);
  writer.integer(policy === undefined ? -1 : policy.capacity);
  writer.integer(limit === undefined || limit.remaining === Number.POSITIVE_INFINITY ? -1 : limit.remaining);
  writer.integer(verdict.isAllowed ? -1 : secondsOr(verdict.retryAfterUs, -1));
  writer.integer(limit === undefined ? 0 : secondsOr(limit.resetUs, 0));
}

function secondsOr(us: number, never: number): number {
  return us === Number.POSITIVE_INFINITY ? never : ceilSeconds(us);
}

function entryIn(reader: RespReader, arg: number): Entry {
  const key = textIn(reader, arg, 'a key');
  if (reader.ends[arg]! - reader.starts[arg]! > LIMITS.entryKeyBytesMax) {
    throw new RangeError(`a key is more than ${LIMITS.entryKeyBytesMax} bytes`);
  }
  return { key, value: textIn(reader, arg + 1, 'a value', 0) };
}

/** Text of an argument. It is UTF-8, so that a key is the same key at every door. */
function textIn(reader: RespReader, arg: number, what: string, least = 1): string {
  const { bytes } = reader;
  const start = reader.starts[arg]!;
  const end = reader.ends[arg]!;
  if (end - start < least) throw new RangeError(`${what} is empty`);
  if (end - start > LIMITS.entryValueBytesMax) {
    throw new RangeError(`${what} is ${end - start} bytes; the most is ${LIMITS.entryValueBytesMax}`);
  }
  for (let at = start; at < end; at++) {
    if (bytes[at]! < 0x80) continue;
    if (!isUtf8(bytes.subarray(start, end))) throw new RangeError(`${what} is not UTF-8`);
    return bytes.toString('utf8', start, end);
  }
  return bytes.toString('latin1', start, end);
}
