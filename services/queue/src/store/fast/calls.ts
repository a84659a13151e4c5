/** Calls as the scripts read them, and their answers. */
import type {
  Added,
  JobState,
  LeasedJob,
  NewJob,
  OnceCall,
  Renewal,
  Renewed,
  Settled,
  Settlement,
} from '../../core/job.ts';
import type { GroupLimits, LeaseAnswer, LeaseAsk, QueueLimits, Ticked } from '../lane.ts';
import { BATCH_SLOTS } from './lua/batches.ts';
import { errorText, escaped, FS, historyOf, recordBody, recordOf, unescaped } from './record.ts';
import type { Reply } from './scripts.ts';

/** One line of the log, in UTF-16 units; of what is longer the rest goes. */
const LOG_LINE_MAX = 1_024;
const LOG_LINES_MAX = 100;

export const limitsText = (limits: QueueLimits, groups: GroupLimits): string =>
  [limits.jobsMax, limits.concurrency, limits.ratePerSecond, limits.burst, limits.maxStalls, groupText(groups)].join(
    ' ',
  );

export const groupText = ({ weight, concurrency, ratePerSecond, burst }: GroupLimits): string =>
  [weight, concurrency, ratePerSecond, burst].join(' ');

export function addArgs(jobs: readonly NewJob[]): string[] {
  const args: string[] = [];
  let call: OnceCall | undefined;
  let nextPlace = 0;
  for (const job of jobs) {
    const { once, runAtMs } = job;
    if (once?.call !== call) {
      if (call !== undefined) args.push('.', '');
      if (once !== undefined) args.push(`!${once.call.key}${once.call.print}`, `${once.call.ttlMs}`);
      call = once?.call;
      nextPlace = 0;
    }
    if (once !== undefined) {
      if (once.place > nextPlace) args.push('+', `${once.place - nextPlace}`);
      nextPlace = once.place + 1;
    }
    args.push(runAtMs === 0 ? '' : Math.ceil(runAtMs).toString(36), recordBody(job));
  }
  if (call !== undefined) args.push('.', '');
  return args;
}

export function addedOf(reply: Reply): Added[] {
  return (reply as string).split(' ').map((text) => {
    if (!text.includes(':')) return { id: text, state: 'waiting', isDuplicate: false };
    const [id, state, isDuplicate] = text.split(':') as [string, string, string];
    if (id === '') return { refused: state as 'queue_full' | 'idempotency_mismatch' };
    return { id, state: state as JobState, isDuplicate: isDuplicate === '1' };
  });
}

export const leaseArgs = ({ max, leaseMs, worker }: LeaseAsk): (string | number)[] => [max, leaseMs, escaped(worker)];

/** A round of leases in an answer (`lua/leasing.ts`). */
interface Round {
  readonly number: number;
  readonly untilMs: number;
  readonly ids: readonly string[];
  /** By slot, what only some have: the end of their lease, their history. */
  readonly special: ReadonlyMap<number, readonly [untilMs: number, history: string]>;
}

const PER_SPECIAL = 3;

export function leasedOf(reply: Reply): LeaseAnswer {
  const [paused, nextInMs, text] = reply as [number, number, string];
  const parts = text === '' ? [] : text.split(FS);
  const jobs: LeasedJob[] = [];
  for (let at = 0; at < parts.length; ) {
    const ids = parts[at + 2]!.split(',');
    const special = new Map<number, [number, string]>();
    const end = at + 4 + PER_SPECIAL * Number(parts[at + 3]);
    for (let from = at + 4; from < end; from += PER_SPECIAL) {
      special.set(Number(parts[from]), [Number(parts[from + 1]), parts[from + 2]!]);
    }
    const round = { number: Number(parts[at]), untilMs: Number(parts[at + 1]), ids, special };
    for (let slot = 0; slot < ids.length; slot++) jobs.push(leasedJobOf(round, slot, parts[end + slot]!));
    at = end + ids.length;
  }
  return { jobs, nextInMs: neverOr(nextInMs), isPaused: paused === 1 };
}

function leasedJobOf({ number, untilMs, ids, special }: Round, slot: number, text: string): LeasedJob {
  const record = recordOf(text);
  const [deadlineMs, past] = special.get(slot) ?? [untilMs, ''];
  const history = historyOf(past);
  return {
    id: ids[slot]!,
    token: String(number * BATCH_SLOTS + slot),
    deadlineMs,
    name: record.name,
    data: record.data,
    group: record.group,
    tags: record.tags,
    attempt: history.attempts + 1,
    attempts: record.attempts,
    stalls: history.stalls,
    enqueuedAtMs: record.enqueuedAtMs,
    dueAtMs: history.dueAtMs ?? record.dueAtMs,
    timeoutMs: record.timeoutMs,
    traceparent: record.traceparent,
    tracestate: record.tracestate,
  };
}

const neverOr = (ms: number): number | undefined => (ms < 0 ? undefined : ms);

/** Acks without a result, as nearly all are: by the number in their tokens. */
interface AckWord {
  readonly number: number;
  /** Slot and place among the settlements. */
  readonly acks: { readonly slot: number; readonly place: number }[];
}

/** Settlements as the scripts read them. */
export interface SettleCall {
  readonly args: readonly (string | number)[];
  readonly settlements: readonly Settlement[];
  readonly words: readonly AckWord[];
  /** Places of those that are in no word. */
  readonly others: readonly number[];
}

/** What is no id or token of ours goes by itself. */
const isPlainAck = ({ id, token, ...said }: Settlement): boolean =>
  said.kind === 'ack' && said.result === undefined && DIGITS.test(id) && TOKEN.test(token);

const DIGITS = /^\d+$/;
/** Such as a number holds exactly. */
const TOKEN = /^[1-9]\d{0,14}$|^[1-8]\d{15}$/;

/** @param random - 0 … 1, drawn anew for each failure: the jitter of its backoff. */
export function settleCall(settlements: readonly Settlement[], random: () => number): SettleCall {
  const words = new Map<number, AckWord>();
  const others: number[] = [];
  const args: (string | number)[] = [''];
  for (const [place, settlement] of settlements.entries()) {
    if (isPlainAck(settlement)) {
      const token = Number(settlement.token);
      const slot = token % BATCH_SLOTS;
      const number = (token - slot) / BATCH_SLOTS;
      const word = words.get(number);
      if (word === undefined) words.set(number, { number, acks: [{ slot, place }] });
      else word.acks.push({ slot, place });
    } else {
      others.push(place);
      args.push(...settlementArgs(settlement, random));
    }
  }
  // All that is left of a batch is known by being the same text.
  for (const { acks } of words.values()) acks.sort((one, other) => one.slot - other.slot);
  const text = ({ number, acks }: AckWord) =>
    `${number},${acks.map(({ slot, place }) => `${settlements[place]!.id}:${slot},`).join('')}`;
  args[0] = Array.from(words.values(), text).join(' ');
  return { args, settlements, words: [...words.values()], others };
}

/** A token as the scripts have it; of what is none of ours nothing. */
function leasePlace(token: string): string {
  if (!TOKEN.test(token)) return '';
  const slot = Number(token) % BATCH_SLOTS;
  return `${(Number(token) - slot) / BATCH_SLOTS}:${slot}`;
}

function settlementArgs(settlement: Settlement, random: () => number): (string | number)[] {
  const { id, kind } = settlement;
  const token = leasePlace(settlement.token);
  if (kind === 'release') return ['r', id, token];
  if (kind === 'ack') return settlement.result === undefined ? ['a', id, token] : ['A', id, token, settlement.result];
  const { error, retryAfterMs, isFinal } = settlement;
  return [isFinal ? 'F' : 'f', id, token, errorText(error), retryAfterMs ?? '', random()];
}

/** Per job in the list of an answer: id, state, when it is due, milliseconds. */
const PER_SETTLEMENT = 4;

export function settledOf(reply: Reply, { settlements, words, others }: SettleCall): Settled[] {
  const [stateText, tookText, rest, waiting] = reply as [string, string, (string | number)[], number];
  const othersWait = waiting > 0;
  const stateWords = stateText === '' ? undefined : stateText.split(' ');
  const tooks = tookText.split(' ').map(Number);
  const settled = new Array<Settled>(settlements.length);
  for (const [number, { acks }] of words.entries()) {
    const states = stateWords?.[number]?.split(',');
    const tookMs = tooks[tooks.length === 1 ? 0 : number]!;
    for (const [at, { place }] of acks.entries()) {
      const state = states === undefined || states.length === 1 ? (states?.[0] ?? 'completed') : states[at]!;
      settled[place] = settledAs(settlements[place]!.id, state, '', tookMs, othersWait);
    }
  }
  for (const [number, place] of others.entries()) {
    const [, state, dueAt, tookMs] = rest.slice(PER_SETTLEMENT * number, PER_SETTLEMENT * (number + 1));
    settled[place] = settledAs(settlements[place]!.id, state as string, dueAt!, tookMs as number, othersWait);
  }
  return settled;
}

function settledAs(id: string, state: string, dueAt: string | number, tookMs: number, othersWait: boolean): Settled {
  if (state === 'lost' || state === 'unknown') return { id, refused: state };
  return { id, state: state as JobState, dueAtMs: dueAt === '' ? undefined : Number(dueAt), tookMs, othersWait };
}

export function renewArgs(renewals: readonly Renewal[]): (string | number)[] {
  const args: (string | number)[] = [];
  for (const { id, token, leaseMs, progress, log } of renewals) {
    args.push(id, leasePlace(token), leaseMs, progress === undefined ? '' : `=${progress}`, logText(log));
  }
  return args;
}

function logText(log: readonly string[]): string {
  if (log.length === 0) return '';
  return log
    .slice(-LOG_LINES_MAX)
    .map((line) => `${line.replaceAll('\n', ' ').slice(0, LOG_LINE_MAX)}\n`)
    .join('');
}

export function renewedOf(reply: Reply, renewals: readonly Renewal[]): Renewed[] {
  const answer = reply as (string | number)[];
  return renewals.map(({ id }, number) => {
    const outcome = answer[3 * number] as 'ok' | 'lost' | 'unknown';
    if (outcome !== 'ok') return { id, refused: outcome };
    const cancel = answer[3 * number + 2] as string;
    return {
      id,
      deadlineMs: answer[3 * number + 1] as number,
      cancel: cancel === '' ? undefined : unescaped(cancel.slice(1)),
    };
  });
}

export function tickedOf(reply: Reply): Ticked {
  const [nextInMs, promoted, stalled, timedOut, expired] = reply as [number, Reply[], Reply[], Reply[], string[]];
  return {
    promoted: pairsOf(promoted).map(([id, lateMs]) => ({ id, lateMs: lateMs as number })),
    stalled: pairsOf(stalled).map(([id, state]) => ({ id, state: state as JobState })),
    timedOut: pairsOf(timedOut).map(([id, state]) => ({ id, state: state as JobState })),
    expired,
    nextInMs: neverOr(nextInMs),
  };
}

function pairsOf(list: readonly Reply[]): [string, Reply][] {
  const pairs: [string, Reply][] = [];
  for (let at = 0; at < list.length; at += 2) pairs.push([list[at] as string, list[at + 1]!]);
  return pairs;
}
