/**
 * The last decisions, for asking what other rules would have made of them. Always on.
 *
 * Limits count what one key does, and half of its requests are another traffic: so what is kept of a key is all of it.
 * Under load a part of the keys is kept, halved until it is about 2,000 decisions a second; `kept.share` says which part.
 * More would cost more than the decision itself: what is kept is what the collector has to copy.
 */
import { hashOf } from './key-hash.ts';
import type { Entry } from './rule.ts';
import type { Check, Subject, Verdict } from './verdict.ts';

export interface RecordedDecision {
  readonly atMs: number;
  readonly check: Check;
  readonly wasAllowed: boolean;
  /** By position of the subject: its rule, no shadow, said no. */
  readonly wasDenied: (subject: number) => boolean;
}

export interface Kept {
  readonly decisions: number;
  /** About: what the strings and objects take. */
  readonly bytes: number;
  /** Of the first and the last one; 0 when there is none. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** The part of all keys whose decisions are kept at present, 1 or a power of ½. */
  readonly share: number;
}

export interface RecorderOptions {
  /** 0 records nothing. Default 50,000. */
  decisionsMax?: number;
  /** Default 32 MiB. */
  bytesMax?: number;
}

/** Objects of a check, of a subject and of an entry, and its place in the ring. */
const CHECK_BYTES = 136;
const SUBJECT_BYTES = 80;
const ENTRY_BYTES = 72;

/** Decisions a second: more halve the part of the keys, a quarter of it doubles that again. */
const RATE_MAX = 2_000;
const MASK_MAX = 0xffff;

/** Cost: 0.1 µs a decision (`observatory.bench.ts`). */
export class Recorder {
  readonly #decisionsMax: number;
  readonly #bytesMax: number;
  readonly #checks: (Check | undefined)[];
  readonly #times: Float64Array;
  readonly #bytes: Uint32Array;
  /** One bit a subject: a check has at most 32. */
  readonly #denied: Uint32Array;
  readonly #allowed: Uint8Array;
  /** Of the oldest decision; the others follow in the ring. */
  #first = 0;
  #count = 0;
  #bytesKept = 0;
  /** Keys are kept whose hash has none of these bits. */
  #mask = 0;
  #sinceTick = 0;

  constructor({ decisionsMax = 50_000, bytesMax = 32 * 1_048_576 }: RecorderOptions = {}) {
    this.#decisionsMax = decisionsMax;
    this.#bytesMax = bytesMax;
    this.#checks = new Array(decisionsMax).fill(undefined);
    this.#times = new Float64Array(decisionsMax);
    this.#bytes = new Uint32Array(decisionsMax);
    this.#denied = new Uint32Array(decisionsMax);
    this.#allowed = new Uint8Array(decisionsMax);
  }

  /** @param keyHash - Of what the request is about, where it is known already. */
  record(check: Check, verdict: Verdict, atMs: number, keyHash?: number): void {
    if (this.#mask !== 0 && ((keyHash ?? hashOf(keyOf(check, verdict))) & this.#mask) !== 0) return;
    this.#sinceTick++;
    if (this.#sinceTick > RATE_MAX) this.#narrow();
    const bytes = bytesOf(check);
    if (this.#decisionsMax === 0 || bytes > this.#bytesMax) return;
    while (this.#count === this.#decisionsMax || this.#bytesKept + bytes > this.#bytesMax) this.#forgetOldest();
    const at = (this.#first + this.#count++) % this.#decisionsMax;
    this.#bytesKept += bytes;
    this.#checks[at] = copyOf(check);
    this.#times[at] = atMs;
    this.#bytes[at] = bytes;
    this.#allowed[at] = verdict.isAllowed ? 1 : 0;
    this.#denied[at] = verdict.isAllowed ? 0 : deniedBits(verdict);
  }

  /** To be called once a second. */
  tick(): void {
    if (this.#sinceTick < RATE_MAX / 4) this.#mask >>>= 1;
    this.#sinceTick = 0;
  }

  #narrow(): void {
    this.#sinceTick = 0;
    if (this.#mask < MASK_MAX) this.#mask = this.#mask * 2 + 1;
  }

  get kept(): Kept {
    const last = (this.#first + this.#count - 1) % this.#decisionsMax;
    const [fromMs, untilMs] = this.#count === 0 ? [0, 0] : [this.#times[this.#first]!, this.#times[last]!];
    return { decisions: this.#count, bytes: this.#bytesKept, fromMs, untilMs, share: 1 / (this.#mask + 1) };
  }

  /**
   * What is kept now, oldest first; the recording goes on meanwhile. Cost of the call: a copy of four arrays, 0.2 ms for
   * 50,000; each decision is put together when it is asked for.
   */
  decisions(): Iterable<RecordedDecision> {
    const [checks, times] = [this.#checks.slice(), this.#times.slice()];
    const [denied, allowed] = [this.#denied.slice(), this.#allowed.slice()];
    const [first, count, size] = [this.#first, this.#count, this.#decisionsMax];
    return (function* oldestFirst() {
      for (let number = 0; number < count; number++) {
        const at = (first + number) % size;
        const bits = denied[at]!;
        const wasDenied = (subject: number) => ((bits >>> subject) & 1) === 1;
        yield { atMs: times[at]!, check: checks[at]!, wasAllowed: allowed[at] === 1, wasDenied };
      }
    })();
  }

  #forgetOldest(): void {
    this.#bytesKept -= this.#bytes[this.#first]!;
    this.#checks[this.#first] = undefined;
    this.#first = (this.#first + 1) % this.#decisionsMax;
    this.#count--;
  }
}

/**
 * A copy is kept, and the check itself dies young: V8 learns where objects that live long are made, and would make all
 * checks in its old space, which a list of checks pays for with a third of its time.
 */
function copyOf({ domain, subjects, cost, mode }: Check): Check {
  const copies: Subject[] = [];
  for (const subject of subjects) {
    const entries: Entry[] = [];
    for (const { key, value } of subject.entries) entries.push({ key, value });
    copies.push({ entries, cost: subject.cost, policy: subject.policy, ruleName: subject.ruleName });
  }
  return { domain, subjects: copies, cost, mode };
}

function bytesOf({ subjects }: Check): number {
  let bytes = CHECK_BYTES;
  for (let at = 0; at < subjects.length; at++) {
    const { entries } = subjects[at]!;
    bytes += SUBJECT_BYTES;
    for (let entry = 0; entry < entries.length; entry++) {
      const { key, value } = entries[entry]!;
      bytes += ENTRY_BYTES + key.length + value.length;
    }
  }
  return bytes;
}

function deniedBits({ limits }: Verdict): number {
  let bits = 0;
  for (let at = 0; at < limits.length; at++) {
    const limit = limits[at];
    if (limit !== undefined && !limit.isAllowed && !limit.isShadow) bits |= 1 << at;
  }
  return bits;
}

/** What a request is about: the key of its first limit, or what it says first where no rule knows it. */
function keyOf({ subjects }: Check, { limits }: Verdict): string {
  for (let at = 0; at < limits.length; at++) if (limits[at] !== undefined) return limits[at]!.key;
  return subjects[0]?.entries[0]?.value ?? '';
}
