/**
 * Calls from member to member and their answers, as JSON arrays: V8 reads and writes them faster than anything written
 * in JavaScript, and `nats sub` shows them. A call carries all that its reader needs: each policy once, as text, which
 * the reader has seen before and does not parse again. What cannot be read is refused whole, before anything of it is
 * counted.
 *
 *     call    [1, epoch, [policy, …], [wish, …]]
 *     wish    [kind, [charge, …], …what the kind takes]
 *     charge  policy's place, key, cost, flags[, denials, withinMs, blockMs][, agoUs]: flat, one after the other
 *     answer  [1, epoch, [reply, …]] or [1, epoch, "why it was refused"]
 *     reply   null: moved; -1: no room; else what the kind gives, in the order of its members
 */
import {
  type Charge,
  type Mode,
  type Outcome,
  type Penalty,
  type Policy,
  type PolicySpec,
  policyOf,
} from '@plinth/limiter';
import { assertSound, FULL, MOVED, type Reply, type Wish } from './wish.ts';

const VERSION = 1;
const MODES: readonly Mode[] = ['take', 'look', 'debit'];
const KINDS = ['decide', 'give', 'reset', 'block', 'grant', 'hold', 'keep', 'release', 'claim'] as const;
/** Policies that are remembered by their text; a rule set of a thousand limits fits ten times. */
const POLICIES_MAX = 10_000;
const SHADOW = 1;
const PENALTY = 2;
const AGO = 4;
const ALLOWED = 1;
const BLOCKED = 2;
const UNDECIDED = 4;

type Row = unknown[];

export interface Call {
  readonly epoch: number;
  readonly wishes: readonly Wish[];
}

export interface Answer {
  /** Of the one who answers. */
  readonly epoch: number;
  /** In the order of the wishes; a text: why none was even looked at. */
  readonly replies: readonly Reply[] | string;
}

/** Policies by what they say and back: each is written and read once. One per process end. */
export class PolicyTexts {
  readonly #texts = new WeakMap<Policy, string>();
  readonly #policies = new Map<string, Policy>();

  textOf(policy: Policy): string {
    let text = this.#texts.get(policy);
    if (text === undefined) {
      text = JSON.stringify(policy.spec);
      this.#texts.set(policy, text);
    }
    return text;
  }

  /** @throws RangeError, SyntaxError when it is none. */
  policyOf(text: string): Policy {
    const known = this.#policies.get(text);
    if (known !== undefined) return known;
    const policy = policyOf(JSON.parse(text) as PolicySpec);
    // The oldest goes; one that is still in use is read once more.
    if (this.#policies.size === POLICIES_MAX) this.#policies.delete(this.#policies.keys().next().value!);
    this.#policies.set(text, policy);
    return policy;
  }
}

// ------------------------------------------------------------ calls

export function encodeCall({ epoch, wishes }: Call, texts: PolicyTexts): string {
  const places = new Map<Policy, number>();
  const policies: string[] = [];
  const placeOf = (policy: Policy) => {
    let place = places.get(policy);
    if (place === undefined) {
      place = policies.push(texts.textOf(policy)) - 1;
      places.set(policy, place);
    }
    return place;
  };
  const rows = wishes.map((wish) => rowOf(wish, placeOf));
  return JSON.stringify([VERSION, epoch, policies, rows]);
}

function rowOf(wish: Wish, placeOf: (policy: Policy) => number): Row {
  const charges: Row = [];
  for (const { policy, key, cost, isShadow, penalty, agoUs } of wish.charges) {
    const flags =
      (isShadow === true ? SHADOW : 0) | (penalty === undefined ? 0 : PENALTY) | (agoUs === undefined ? 0 : AGO);
    charges.push(placeOf(policy), key, cost, flags);
    if (penalty !== undefined) charges.push(penalty.denials, penalty.withinMs, penalty.blockMs);
    if (agoUs !== undefined) charges.push(agoUs);
  }
  return [KINDS.indexOf(wish.kind), charges, ...termsOf(wish)];
}

function termsOf(wish: Wish): Row {
  switch (wish.kind) {
    case 'decide':
      return wish.mode === 'take' ? [] : [MODES.indexOf(wish.mode)];
    case 'block':
      return [wish.forMs];
    case 'grant':
      return [wish.want, wish.share];
    case 'hold':
      return [wish.id, wish.holdMs, wish.priority ?? null];
    case 'keep':
      return [wish.id, wish.holdMs];
    case 'release':
      return [wish.id, wish.outturn.latencyMs ?? null, wish.outturn.isOverload === true ? 1 : 0];
    case 'claim':
      return [wish.id, wish.forMs];
    default:
      return [];
  }
}

/** @throws Error that says what is wrong with it. */
export function decodeCall(text: string, texts: PolicyTexts): Call {
  const [version, epoch, policyTexts, rows] = JSON.parse(text) as [number, number, string[], Row[]];
  if (version !== VERSION) throw new RangeError(`version ${JSON.stringify(version)} of calls is not known here`);
  const policies = policyTexts.map((one) => texts.policyOf(one));
  const wishes = rows.map((row) => wishIn(row, policies));
  for (const wish of wishes) assertSound(wish);
  return { epoch: amount(epoch), wishes };
}

function wishIn([kind, charged, ...terms]: Row, policies: readonly Policy[]): Wish {
  const charges = chargesIn(charged as Row, policies);
  const name = KINDS[kind as number];
  switch (name) {
    case 'decide':
      return { kind: name, charges, mode: MODES[(terms[0] as number) ?? 0]! };
    case 'give':
    case 'reset':
      return { kind: name, charges };
    case 'block':
      return { kind: name, charges, forMs: amount(terms[0]) };
    case 'grant':
      return { kind: name, charges, want: amount(terms[0]), share: amount(terms[1]) };
    case 'hold':
      return {
        kind: name,
        charges,
        id: word(terms[0]),
        holdMs: amount(terms[1]),
        priority: (terms[2] as string) ?? undefined,
      };
    case 'keep':
      return { kind: name, charges, id: word(terms[0]), holdMs: amount(terms[1]) };
    case 'release':
      return {
        kind: name,
        charges,
        id: word(terms[0]),
        outturn: { latencyMs: (terms[1] as number) ?? undefined, isOverload: terms[2] === 1 },
      };
    case 'claim':
      return { kind: name, charges, id: word(terms[0]), forMs: amount(terms[1]) };
    default:
      throw new RangeError(`wish ${JSON.stringify(kind)} is not known here`);
  }
}

function chargesIn(flat: Row, policies: readonly Policy[]): Charge[] {
  const charges: Charge[] = [];
  for (let at = 0; at < flat.length; ) {
    const policy = policies[flat[at] as number];
    if (policy === undefined) throw new RangeError('a charge names a policy that is not there');
    const key = word(flat[at + 1]);
    const cost = amount(flat[at + 2]);
    const flags = flat[at + 3] as number;
    at += 4;
    const isShadow = (flags & SHADOW) !== 0;
    if ((flags & (PENALTY | AGO)) === 0) {
      charges.push({ policy, key, cost, isShadow });
      continue;
    }
    let penalty: Penalty | undefined;
    if ((flags & PENALTY) !== 0) {
      penalty = { denials: amount(flat[at]), withinMs: amount(flat[at + 1]), blockMs: amount(flat[at + 2]) };
      at += 3;
    }
    const agoUs = (flags & AGO) === 0 ? undefined : amount(flat[at++]);
    charges.push({ policy, key, cost, isShadow, penalty, agoUs });
  }
  return charges;
}

// ------------------------------------------------------------ answers

export function encodeAnswer(epoch: number, wishes: readonly Wish[], replies: readonly Reply[]): string {
  return JSON.stringify([VERSION, epoch, replies.map((reply, at) => replyRow(wishes[at]!, reply))]);
}

export function encodeRefusal(epoch: number, reason: string): string {
  return JSON.stringify([VERSION, epoch, reason]);
}

function replyRow(wish: Wish, reply: Reply): unknown {
  if (reply === MOVED) return null;
  if (reply === FULL) return -1;
  if (typeof reply === 'boolean') return reply ? 1 : 0;
  if (reply === undefined) return 1;
  if ('outcomes' in reply) {
    const row = [(reply.isAllowed ? ALLOWED : 0) | (reply.isUndecided === true ? UNDECIDED : 0)];
    for (const { isAllowed, isBlocked, remaining, retryAfterUs, resetUs, delayUs } of reply.outcomes) {
      row.push((isAllowed ? ALLOWED : 0) | (isBlocked ? BLOCKED : 0), remaining, retryAfterUs, resetUs, delayUs);
    }
    return row;
  }
  if ('units' in reply) {
    const { units, retryAfterUs, remaining, resetUs, lifeUs } = reply;
    return [units, retryAfterUs, remaining, resetUs, ...(lifeUs === undefined ? [] : [lifeUs])];
  }
  if (wish.kind !== 'hold') throw new TypeError(`what ${wish.kind} gives cannot be written`);
  return [reply.isHeld ? 1 : 0, reply.remaining, reply.limit, reply.retryAfterUs];
}

/** @throws Error that says what is wrong with it. */
export function decodeAnswer(text: string, wishes: readonly Wish[]): Answer {
  const [version, epoch, rows] = JSON.parse(text) as [number, number, unknown[] | string];
  if (version !== VERSION) throw new RangeError(`version ${JSON.stringify(version)} of answers is not known here`);
  if (typeof rows === 'string') return { epoch, replies: rows };
  if (rows.length !== wishes.length) throw new RangeError(`${rows.length} replies to ${wishes.length} wishes`);
  return { epoch: amount(epoch), replies: rows.map((row, at) => replyIn(row, wishes[at]!)) };
}

function replyIn(row: unknown, wish: Wish): Reply {
  if (row === null) return MOVED;
  if (row === -1) return FULL;
  switch (wish.kind) {
    case 'decide':
      return decisionIn(row as number[]);
    case 'grant': {
      const [units, retryAfterUs, remaining, resetUs, lifeUs] = row as [number, number, number, number, number?];
      const grant = { units, retryAfterUs: finite(retryAfterUs), remaining, resetUs: finite(resetUs) };
      return lifeUs === undefined ? grant : { ...grant, lifeUs };
    }
    case 'hold': {
      const [isHeld, remaining, limit, retryAfterUs] = row as [number, number, number, number];
      return { id: wish.id, isHeld: isHeld === 1, remaining, limit, retryAfterUs: finite(retryAfterUs) };
    }
    case 'keep':
    case 'release':
    case 'claim':
      return row === 1;
    default:
      return undefined;
  }
}

function decisionIn(row: number[]): Reply {
  const outcomes: Outcome[] = [];
  for (let at = 1; at < row.length; at += 5) {
    const flags = row[at]!;
    outcomes.push({
      isAllowed: (flags & ALLOWED) !== 0,
      remaining: row[at + 1]!,
      retryAfterUs: finite(row[at + 2]!),
      resetUs: finite(row[at + 3]!),
      delayUs: row[at + 4]!,
      isBlocked: (flags & BLOCKED) !== 0,
    });
  }
  const isAllowed = (row[0]! & ALLOWED) !== 0;
  return (row[0]! & UNDECIDED) === 0 ? { isAllowed, outcomes } : { isAllowed, outcomes, isUndecided: true };
}

/** JSON has no Infinity; it is written as null. */
const finite = (value: number | null): number => value ?? Number.POSITIVE_INFINITY;

function amount(value: unknown): number {
  if (typeof value === 'number' && value >= 0) return value;
  throw new RangeError(`${JSON.stringify(value)} stands where a number should`);
}

function word(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new RangeError(`${JSON.stringify(value)} stands where a text should`);
}
