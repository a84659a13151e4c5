/**
 * The JSON of a list of verdicts, as bytes. Nearly all of it was written before: of a limit that allows, only what
 * remains and when it is whole again differ from the last time. All other verdicts are written as text.
 */
import type { Policy } from '@plinth/limiter';
import { ByteWriter } from '../core/byte-writer.ts';
import type { Limit, Verdict } from '../core/verdict.ts';
import { ceilMs } from '../core/whole-times.ts';
import { checkText } from './write-verdict.ts';

const NOTHING = Buffer.alloc(0);
const OPEN = 91;
const CLOSE = 93;
const COMMA = 44;
const BRACE = 125;
const VERDICT_HEAD = Buffer.from('{"allowed":true,"limits":[');
const VERDICT_TAIL = Buffer.from(']}');
const RESET = Buffer.from(',"resetMs":');
/** What is between the numbers of a limit of one policy, unless its name is another. */
interface LimitHead {
  readonly policy: Policy | undefined;
  readonly name: string;
  readonly bytes: Buffer;
}

export class VerdictList {
  readonly #writer = new ByteWriter();
  readonly #heads = new WeakMap<Policy, LimitHead>();
  /** A list is mostly of one rule. */
  #last: LimitHead = { policy: undefined, name: '', bytes: NOTHING };

  write(verdicts: readonly Verdict[]): Buffer {
    const writer = this.#writer;
    writer.byte(OPEN);
    for (let at = 0; at < verdicts.length; at++) {
      if (at > 0) writer.byte(COMMA);
      this.#verdict(verdicts[at]!);
    }
    writer.byte(CLOSE);
    return writer.take();
  }

  #verdict(verdict: Verdict): void {
    const { limits } = verdict;
    const writer = this.#writer;
    if (!isPlain(verdict)) {
      writer.text(checkText(verdict));
      return;
    }
    writer.raw(VERDICT_HEAD);
    for (let at = 0; at < limits.length; at++) {
      if (at > 0) writer.byte(COMMA);
      this.#limit(limits[at]!);
    }
    writer.raw(VERDICT_TAIL);
  }

  #headOf(policy: Policy, name: string): LimitHead {
    let head = this.#heads.get(policy);
    if (head === undefined || head.name !== name) {
      head = { policy, name, bytes: headOf(name, policy) };
      this.#heads.set(policy, head);
    }
    this.#last = head;
    return head;
  }

  #limit({ name, policy, remaining, resetUs }: Limit): void {
    const writer = this.#writer;
    const last = this.#last;
    const head = last.policy === policy && last.name === name ? last : this.#headOf(policy!, name);
    writer.raw(head.bytes);
    writer.digits(remaining);
    writer.raw(RESET);
    writer.digits(ceilMs(resetUs));
    writer.byte(BRACE);
  }
}

/** Allowed, with nothing to be said besides. */
function isPlain({ isAllowed, limits, delayUs, degraded }: Verdict): boolean {
  if (!isAllowed || delayUs > 0 || degraded !== undefined) return false;
  for (let at = 0; at < limits.length; at++) {
    const limit = limits[at];
    if (limit === undefined || !limit.isAllowed || limit.policy === undefined) return false;
    if (limit.isShadow || limit.because !== undefined || !isDigits(limit.remaining)) return false;
  }
  return true;
}

const isDigits = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function headOf(name: string, { name: algorithm, limit, windowUs }: Policy): Buffer {
  const start = JSON.stringify({ name, allowed: true, algorithm, limit, windowMs: windowUs / 1_000 });
  return Buffer.from(`${start.slice(0, -1)},"remaining":`);
}
