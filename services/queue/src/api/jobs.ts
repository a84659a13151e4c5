/** Jobs that are there: looked at, waited for, cancelled, made due, given another chance. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Call, queue as contract, json, type Reply, type Served, serve } from '@plinth/contracts';
import { STATES } from '@plinth/contracts/queue';
import { Problem } from '@plinth/problem';
import type { JobState, JobView } from '../core/job.ts';
import type { Queues } from '../core/queues.ts';
import type { JobFilter, RedriveFilter } from '../store/lane.ts';
import { jobIdOf, patienceOf, queueOf, stateItem, unknownJob } from './call.ts';
import { moment } from './fault.ts';
import { jobPageText, jobText } from './write-jobs.ts';

export interface JobRooms {
  queues: Pick<Queues, 'definition' | 'job' | 'jobs' | 'cancel' | 'promote' | 'redrive'>;
  now(): number;
}

type Redrive = { name?: string | undefined; group?: string | undefined; tag?: string | undefined };

const LIST_DEFAULT = 100;
const REDRIVE_DEFAULT = 1_000;
/** Redriving at a rate: a slice so often, and no longer than a request may take. */
const SLICE_MS = 100;
const REDRIVE_MS_MAX = 60_000;
const NO_REASON = 'cancelled by request';

const text = (body: string): Reply => ({ status: 200, headers: { 'content-type': 'application/json' }, body });

export function jobOperations({ queues, now }: JobRooms): Served[] {
  async function cancel(call: Call<unknown, { reason?: string | undefined }>): Promise<Reply> {
    const queue = queueOf(call);
    const id = jobIdOf(call);
    const [state] = await queues.cancel(queue, [id], call.body.reason ?? NO_REASON);
    if (state === undefined) throw unknownJob(queue, id);
    return json(200, { id, state });
  }

  async function promote(call: Call): Promise<Reply> {
    const queue = queueOf(call);
    const id = jobIdOf(call);
    if (await queues.promote(queue, id)) return json(200, { id, state: 'waiting' satisfies JobState });
    const view = await needed(queues.job(queue, id), queue, id);
    throw new Problem('conflict', `the job ${id} is ${view.state}; scheduled and retrying ones can be made due`);
  }

  return [
    serve(contract.listJobs, async (call) => {
      const { limit = LIST_DEFAULT, cursor } = call.query;
      return text(jobPageText(await queues.jobs(queueOf(call), filterOf(call.query), { limit, cursor })));
    }),
    serve(contract.getJob, async (call) => {
      const queue = queueOf(call);
      const id = jobIdOf(call);
      const { waitMs } = call.query;
      const patience = waitMs === undefined ? undefined : patienceOf(call, waitMs, now());
      return text(jobText(await needed(queues.job(queue, id, patience), queue, id)));
    }),
    serve(contract.cancelJob, cancel),
    serve(contract.promoteJob, promote),
    serve(contract.cancelJobs, async (call) => {
      const queue = queueOf(call);
      const { ids, reason = NO_REASON } = call.body;
      const states = await queues.cancel(queue, ids, reason);
      return json(200, { jobs: ids.map((id, at) => stateItem(queue, id, states[at])) });
    }),
    serve(contract.redrive, async (call) => {
      const { max = REDRIVE_DEFAULT, ratePerSecond, from, until, ...filter } = call.body;
      const wish = { queue: queueOf(call), filter: { ...filter, ...times(from, until, '') }, max, ratePerSecond };
      const ids = await redriven(queues, wish, call);
      return json(200, { redriven: ids.length, ids, more: ids.length >= max });
    }),
  ];
}

async function needed(found: Promise<JobView | undefined>, queue: string, id: string): Promise<JobView> {
  const view = await found;
  if (view === undefined) throw unknownJob(queue, id);
  return view;
}

// ---------------------------------------------------------------- search

interface ListQuery extends Redrive {
  state?: string | undefined;
  from?: string | undefined;
  until?: string | undefined;
}

function filterOf({ state, name, tag, group, from, until }: ListQuery): JobFilter {
  const states = state === undefined ? STATES : (state.split(',') as JobState[]);
  return { states: [...new Set(states)], name, tag, group, ...times(from, until, '/query') };
}

function times(
  from: string | number | undefined,
  until: string | number | undefined,
  path: string,
): Pick<JobFilter, 'fromMs' | 'untilMs'> {
  return {
    fromMs: from === undefined ? undefined : moment(numbered(from), `${path}/from`),
    untilMs: until === undefined ? undefined : moment(numbered(until), `${path}/until`),
  };
}

/** In a query all is text. */
const numbered = (value: string | number): string | number =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;

// ---------------------------------------------------------------- redriving

interface RedriveWish {
  queue: string;
  filter: RedriveFilter;
  max: number;
  ratePerSecond: number | undefined;
}

/** All at once, or in slices by a rate: until all are, the caller has gone or a minute has passed. */
async function redriven(
  queues: Pick<Queues, 'redrive'>,
  { queue, filter, max, ratePerSecond }: RedriveWish,
  { signal }: Pick<Call, 'signal'>,
): Promise<string[]> {
  if (ratePerSecond === undefined) return queues.redrive(queue, filter, max);
  const perSlice = (ratePerSecond * SLICE_MS) / 1_000;
  const slices = REDRIVE_MS_MAX / SLICE_MS;
  const ids: string[] = [];
  for (let slice = 1, allowed = 0; slice <= slices && ids.length < max; slice++) {
    allowed = Math.min(max, Math.floor(slice * perSlice + (perSlice < 1 ? 1 - perSlice : 0)));
    const want = allowed - ids.length;
    const some = want > 0 ? await queues.redrive(queue, filter, want) : [];
    ids.push(...some);
    if (some.length < want || signal.aborted || ids.length >= max) break;
    await pause(SLICE_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) break;
  }
  return ids;
}
