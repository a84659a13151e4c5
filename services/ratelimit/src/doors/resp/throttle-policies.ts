/** The limits that `CL.THROTTLE` says in its arguments: read once, found again by their bytes. */

import { LIMITS } from '@plinth/contracts/ratelimit';
import { type Policy, policyOf } from '@plinth/limiter';
import type { RespReader } from './resp-reader.ts';

/** A program says a few limits again and again. One that says ever new ones has them all read. */
const KEPT_MAX = 10_000;
/** Text longer than this is not compared with the latest, and no number either. */
const LATEST_BYTES_MAX = 64;
const BURST_ARG = 2;
const COUNT_ARG = 3;
const PERIOD_ARG = 4;
const PERIOD_MAX_S = LIMITS.windowMsMax / 1_000;

export class ThrottlePolicies {
  readonly #kept = new Map<string, Policy>();
  readonly #latestText = new Uint8Array(LATEST_BYTES_MAX);
  #latestLength = -1;
  #latest: Policy | undefined;

  /** The policy of the command that was read last. @throws RangeError in words for the client. */
  of(reader: RespReader): Policy {
    const start = reader.starts[BURST_ARG]!;
    const end = reader.ends[PERIOD_ARG]!;
    if (this.#isLatest(reader.bytes, start, end)) return this.#latest!;
    const text = reader.bytes.toString('latin1', start, end);
    let policy = this.#kept.get(text);
    if (policy === undefined) {
      policy = read(reader);
      if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
      this.#kept.set(text, policy);
    }
    this.#remember(reader.bytes, start, end, policy);
    return policy;
  }

  #isLatest(bytes: Buffer, start: number, end: number): boolean {
    const length = end - start;
    if (length !== this.#latestLength) return false;
    const latest = this.#latestText;
    for (let at = 0; at < length; at++) if (latest[at] !== bytes[start + at]) return false;
    return true;
  }

  #remember(bytes: Buffer, start: number, end: number, policy: Policy): void {
    if (end - start > LATEST_BYTES_MAX) return;
    bytes.copy(this.#latestText, 0, start, end);
    this.#latestLength = end - start;
    this.#latest = policy;
  }
}

function read(reader: RespReader): Policy {
  const burst = wholeIn(reader, BURST_ARG, { what: 'max_burst', least: 0, most: LIMITS.unitsMax - 1 });
  const limit = wholeIn(reader, COUNT_ARG, { what: 'count', least: 1, most: LIMITS.unitsMax });
  const periodS = wholeIn(reader, PERIOD_ARG, { what: 'period', least: 1, most: PERIOD_MAX_S });
  // redis-cell's first request is no part of its burst.
  return policyOf({ algorithm: 'gcra', limit, windowMs: periodS * 1_000, burst: burst + 1 });
}

export interface Whole {
  what: string;
  least: number;
  most: number;
}

/** An argument that is a whole number, written in digits. @throws RangeError */
export function wholeIn(reader: RespReader, arg: number, { what, least, most }: Whole): number {
  const start = reader.starts[arg]!;
  const end = reader.ends[arg]!;
  let value = 0;
  for (let at = start; at < end && value <= most; at++) {
    const digit = reader.bytes[at]! - 48;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
  }
  if (end > start && value >= least && value <= most) return value;
  throw new RangeError(`${what} is ${shown(reader.text(arg))}; it must be a whole number from ${least} to ${most}`);
}

function shown(text: string): string {
  const visible = text.replace(/[^\x21-\x7e]/g, '?');
  return visible === '' ? 'empty' : visible.length > 24 ? `${visible.slice(0, 24)}…` : visible;
}
