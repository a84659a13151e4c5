/**
 * `envoy.service.ratelimit.v3`: from bytes to a check, and from a verdict to bytes. Numbers of fields are those of
 * envoy/service/ratelimit/v3/rls.proto and envoy/extensions/common/ratelimit/v3/ratelimit.proto.
 */
import { DOMAIN, LIMITS } from '@plinth/contracts/ratelimit';
import type { Policy } from '@plinth/limiter';
import type { Entry } from '../../core/rule.ts';
import { type Check, checkOf, type Limit, type Subject, subjectOf, type Verdict } from '../../core/verdict.ts';
import { ceilSeconds } from '../../core/whole-times.ts';
import { FRAME_HEAD_BYTES, frame } from '../grpc/call.ts';
import { LENGTH, Malformed, VARINT, WireReader, WireWriter } from '../grpc/wire.ts';
import { type HeaderStyle, headersOf } from './headers.ts';
import { Overrides, unitOf } from './units.ts';

const OK = 1;
const OVER_LIMIT = 2;
const UINT32_MAX = 4_294_967_295;
/** The longest duration there is in protocol buffers: 10,000 years. */
const SECONDS_MAX = 315_576_000_000;

const { descriptorsMax, entriesMax, entryKeyBytesMax, entryValueBytesMax, unitsMax } = LIMITS;

/** Decodes requests. One after the other; what it answers is the caller's. */
export class RequestDecoder {
  readonly #reader = new WireReader();
  readonly #overrides = new Overrides();

  /** @throws Malformed that says what is wrong, before anything was counted. */
  decode(message: Buffer): Check {
    const reader = this.#reader.open(message);
    const subjects: Subject[] = [];
    let domain = '';
    let hits = 0;
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 1 * 8 + LENGTH) domain = reader.string('domain', 256);
      else if (tag === 2 * 8 + LENGTH) subjects.push(this.#subject(subjects.length));
      else if (tag === 3 * 8 + VARINT) hits = reader.uint32();
      else reader.skip(tag);
    }
    if (!DOMAIN.test(domain))
      throw new Malformed(domain === '' ? 'domain is empty' : 'domain has other than visible ASCII characters');
    if (subjects.length === 0) throw new Malformed('descriptors are empty');
    return checkOf(domain, subjects, costOf('hits_addend', hits === 0 ? 1 : hits), 'take');
  }

  #subject(at: number): Subject {
    if (at >= descriptorsMax) throw new Malformed(`there are more than ${descriptorsMax} descriptors`);
    const reader = this.#reader;
    const entries: Entry[] = [];
    let cost: number | undefined;
    let override: Override | undefined;
    let isRefund = false;
    const outerEnd = reader.enter();
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 1 * 8 + LENGTH) entries.push(this.#entry(at, entries.length));
      else if (tag === 2 * 8 + LENGTH) override = this.#override(override ?? { limit: 0, unit: 0 });
      else if (tag === 3 * 8 + LENGTH) cost = this.#uint64Value(cost ?? 0);
      else if (tag === 4 * 8 + VARINT) isRefund = reader.uint32() !== 0;
      else reader.skip(tag);
    }
    reader.leave(outerEnd);
    if (entries.length === 0) throw new Malformed(`descriptor ${at} has no entries`);
    if (isRefund) throw new Malformed(`descriptor ${at} has is_negative_hits; nothing is given back here`);
    const policy = override === undefined ? undefined : this.#overrides.policy(override.limit, override.unit);
    return subjectOf(entries, {
      cost: cost === undefined ? undefined : costOf(`hits_addend of descriptor ${at}`, cost),
      policy,
    });
  }

  #entry(descriptor: number, at: number): Entry {
    if (at >= entriesMax) throw new Malformed(`descriptor ${descriptor} has more than ${entriesMax} entries`);
    const reader = this.#reader;
    let key = '';
    let value = '';
    const outerEnd = reader.enter();
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 1 * 8 + LENGTH) key = reader.string('a key', entryKeyBytesMax);
      else if (tag === 2 * 8 + LENGTH) value = reader.string('a value', entryValueBytesMax);
      else reader.skip(tag);
    }
    reader.leave(outerEnd);
    if (key === '') throw new Malformed(`entry ${at} of descriptor ${descriptor} has no key`);
    return { key, value };
  }

  #override(override: Override): Override {
    const reader = this.#reader;
    const outerEnd = reader.enter();
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 1 * 8 + VARINT) override.limit = reader.uint32();
      else if (tag === 2 * 8 + VARINT) override.unit = reader.uint32();
      else reader.skip(tag);
    }
    reader.leave(outerEnd);
    return override;
  }

  #uint64Value(value: number): number {
    const reader = this.#reader;
    const outerEnd = reader.enter();
    while (reader.hasMore) {
      const tag = reader.tag();
      if (tag === 1 * 8 + VARINT) value = reader.uint64();
      else reader.skip(tag);
    }
    reader.leave(outerEnd);
    return value;
  }
}

interface Override {
  limit: number;
  unit: number;
}

function costOf(what: string, cost: number): number {
  if (cost > unitsMax) throw new Malformed(`${what} is ${cost}; the most is ${unitsMax}`);
  return cost;
}

/** Encodes verdicts. One after the other; what it answers is the caller's. */
export class ResponseEncoder {
  readonly #writer = new WireWriter();
  readonly #style: HeaderStyle;
  /** `current_limit` never changes with a policy, and a policy has one name but for limits said in requests. */
  readonly #currentLimits = new WeakMap<Policy, { name: string; encoded: Buffer }>();

  constructor(style: HeaderStyle) {
    this.#style = style;
  }

  /** A frame ready to be sent. */
  encode(verdict: Verdict): Buffer {
    const writer = this.#writer;
    writer.begin();
    const { limits } = verdict;
    const isQuotaOver = !verdict.isAllowed && areQuotasOver(limits);
    if (this.#style !== 'none') this.#headers(verdict);
    for (let at = limits.length - 1; at >= 0; at--) {
      const before = writer.size;
      this.#status(limits[at], isQuotaOver);
      writer.message(2, before);
    }
    writer.number(1, verdict.isAllowed ? OK : OVER_LIMIT);
    return frame(writer.take(FRAME_HEAD_BYTES));
  }

  /** A rule that only watches says OK, and one in quota mode does as long as another of them is not over. */
  #status(limit: Limit | undefined, isQuotaOver: boolean): void {
    const writer = this.#writer;
    if (limit?.policy === undefined) {
      // No rule: an empty status. An unlimited rule: as much as can be said.
      if (limit !== undefined) writer.number(3, limit.isAllowed ? UINT32_MAX : 0);
      writer.number(1, limit === undefined || limit.isAllowed || limit.isShadow ? OK : OVER_LIMIT);
      return;
    }
    const before = writer.size;
    // Envoy hands whole seconds on: rounded up, or whoever waits so long would be early.
    writer.number(1, Math.min(SECONDS_MAX, ceilSeconds(limit.resetUs)));
    writer.message(4, before);
    writer.number(3, Math.min(UINT32_MAX, limit.remaining));
    writer.raw(this.#currentLimit(limit.policy, limit.name));
    const isOver = !limit.isAllowed && !limit.isShadow && (isQuotaOver || limit.rule?.quotaMode !== true);
    writer.number(1, isOver ? OVER_LIMIT : OK);
  }

  #currentLimit(policy: Policy, name: string): Buffer {
    const kept = this.#currentLimits.get(policy);
    if (kept !== undefined && kept.name === name) return kept.encoded;
    const writer = new WireWriter();
    writer.begin();
    writer.string(3, name);
    writer.number(2, unitOf(policy));
    writer.number(1, Math.min(UINT32_MAX, policy.limit));
    writer.message(2, 0);
    const encoded = writer.take();
    this.#currentLimits.set(policy, { name, encoded });
    return encoded;
  }

  #headers(verdict: Verdict): void {
    const writer = this.#writer;
    for (const [name, value] of headersOf(this.#style, verdict).reverse()) {
      const before = writer.size;
      writer.entry(2, value);
      writer.entry(1, name);
      writer.message(3, before);
    }
  }
}

/** Whether every rule in quota mode is over; false without one. */
function areQuotasOver(limits: Verdict['limits']): boolean {
  let isOver = false;
  for (const limit of limits) {
    if (limit?.rule?.quotaMode !== true || limit.isShadow) continue;
    if (limit.isAllowed) return false;
    isOver = true;
  }
  return isOver;
}
