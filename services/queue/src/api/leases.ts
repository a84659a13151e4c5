/** The calls of workers: take jobs, say how they went, keep them for longer. */
import { type Call, queue as contract, type Reply, type Served, serve } from '@plinth/contracts';
import type { Problem } from '@plinth/problem';
import type { JobState, Renewal, Renewed, Settled, Settlement } from '../core/job.ts';
import type { Queues } from '../core/queues.ts';
import { lostLease, openQueueOf, patienceOf, unknownJob } from './call.ts';
import { settling } from './message-span.ts';
import { type Item, readLease, readNext, readRenew, readSettle, type Settlements } from './read-settlements.ts';
import { leasedText } from './write-jobs.ts';

export interface LeaseRooms {
  queues: Pick<Queues, 'definition' | 'lease' | 'next' | 'settle' | 'renew'>;
  now(): number;
}

type WorkerCall = Call<unknown, unknown>;
/** What the engine says of an item, or why it was not asked. */
type Outcome<Said> = Said | { id: string; problem: Problem };

const ok = (body: string): Reply => ({ status: 200, headers: { 'content-type': 'application/json' }, body });

export function leaseOperations({ queues, now }: LeaseRooms): Served[] {
  const leaseMsOf = async (queue: string) => (await queues.definition(queue))?.defaults.leaseMs;

  async function lease(call: WorkerCall): Promise<Reply> {
    const queue = openQueueOf(call);
    const { ask, waitMs, isBrief } = readLease(call.body, await leaseMsOf(queue));
    const jobs = await queues.lease(queue, ask, patienceOf(call, waitMs, now()));
    return ok(`{"jobs":${leasedText(queue, jobs, { leaseMs: ask.leaseMs, isBrief })}}`);
  }

  async function next(call: WorkerCall): Promise<Reply> {
    const queue = openQueueOf(call);
    const { ask, waitMs, isBrief, items, doneCount } = readNext(call.body, await leaseMsOf(queue));
    const { good, merge } = sorted<Settlement, Settled>(items);
    const patience = patienceOf(call, waitMs, now());
    const { settled, jobs } = await queues.next(queue, good, ask, patience);
    const outcomes = settledText(queue, merge(settled), { items, doneCount });
    return ok(`{"settled":${outcomes},"jobs":${leasedText(queue, jobs, { leaseMs: ask.leaseMs, isBrief })}}`);
  }

  async function ack(call: WorkerCall): Promise<Reply> {
    const queue = openQueueOf(call);
    const { items, doneCount } = readSettle(call.body);
    const { good, merge } = sorted<Settlement, Settled>(items);
    const settled = await settling(call, queue, items.length, () => queues.settle(queue, good));
    const outcomes = merge(settled);
    throwSingle(queue, items, outcomes);
    return ok(`{"settled":${settledText(queue, outcomes, { items, doneCount })}}`);
  }

  async function renew(call: WorkerCall): Promise<Reply> {
    const queue = openQueueOf(call);
    const items = readRenew(call.body, await leaseMsOf(queue));
    const { good, merge } = sorted<Renewal, Renewed>(items);
    const outcomes = merge(await queues.renew(queue, good));
    throwSingle(queue, items, outcomes);
    const nowMs = now();
    const texts = outcomes.map((outcome, at) => renewedText(queue, outcome, items[at]!, nowMs));
    return ok(`{"renewed":[${texts.join(',')}]}`);
  }

  return [
    serve(contract.lease, lease),
    serve(contract.next, next),
    serve(contract.ack, ack),
    serve(contract.renew, renew),
  ];
}

/** Those that the engine is asked about, and how its words come back to their places. */
function sorted<Good extends { id: string }, Said extends object>(
  items: readonly Item<Good>[],
): { good: Good[]; merge: (said: readonly Said[]) => Outcome<Said>[] } {
  const good: Good[] = [];
  for (const item of items) if (!('problem' in item)) good.push(item);
  if (good.length === items.length) return { good, merge: (said) => said as Outcome<Said>[] };
  const merge = (said: readonly Said[]): Outcome<Said>[] => {
    let next = 0;
    return items.map((item) => ('problem' in item ? (item as { id: string; problem: Problem }) : said[next++]!));
  };
  return { good, merge };
}

const tokenOf = (item: Item<{ id: string; token: string }>): string => ('token' in item ? item.token : '');

/** Of a single item its refusal is the answer: with a status that says so. */
function throwSingle(
  queue: string,
  items: readonly Item<{ id: string; token: string }>[],
  [outcome]: readonly Outcome<Settled | Renewed>[],
): void {
  if (items.length !== 1 || outcome === undefined) return;
  const problem = problemOf(queue, outcome, tokenOf(items[0]!));
  if (problem !== undefined) throw problem;
}

function problemOf(queue: string, outcome: Outcome<Settled | Renewed>, token: string): Problem | undefined {
  if ('problem' in outcome) return outcome.problem;
  if (!('refused' in outcome)) return undefined;
  return outcome.refused === 'lost' ? lostLease(outcome.id, token) : unknownJob(queue, outcome.id);
}

const problemText = (id: string, problem: Problem): string =>
  `{"id":${JSON.stringify(id)},"problem":${JSON.stringify(problem.toBody())}}`;

/** The array of what became of settlements; of those that came as `done` only what did not complete. */
function settledText(queue: string, outcomes: readonly Outcome<Settled>[], { items, doneCount }: Settlements): string {
  const texts: string[] = [];
  for (let at = 0; at < outcomes.length; at++) {
    const outcome = outcomes[at]!;
    if (!('state' in outcome)) texts.push(problemText(outcome.id, problemOf(queue, outcome, tokenOf(items[at]!))!));
    else if (at >= doneCount || outcome.state !== 'completed') texts.push(stateText(outcome));
  }
  return `[${texts.join(',')}]`;
}

function stateText({ id, state, dueAtMs }: Extract<Settled, { state: JobState }>): string {
  const retry = dueAtMs === undefined || state !== 'retrying' ? '' : `,"retryAtMs":${dueAtMs}`;
  return `{"id":${JSON.stringify(id)},"state":"${state}"${retry}}`;
}

function renewedText(queue: string, outcome: Outcome<Renewed>, item: Item<Renewal>, nowMs: number): string {
  if (!('deadlineMs' in outcome)) {
    const token = 'token' in item ? item.token : '';
    return problemText(outcome.id, problemOf(queue, outcome, token)!);
  }
  const { id, deadlineMs, cancel } = outcome;
  const askedMs = 'leaseMs' in item ? item.leaseMs : 0;
  // By the clock of this replica, which may be ahead of the store's or behind it.
  const leftMs = Math.max(0, Math.min(askedMs, Math.round(deadlineMs - nowMs)));
  const stop = cancel === undefined ? '' : `,"cancel":${JSON.stringify(cancel)}`;
  return `{"id":${JSON.stringify(id)},"deadlineMs":${deadlineMs},"leaseMs":${leftMs}${stop}}`;
}
