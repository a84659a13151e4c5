/**
 * Calls that are done once, on a lane that cannot enqueue a whole call and remember it in one step.
 *
 * First the key is claimed, with a print of the call. Its jobs then carry dedup ids made of it, so that a call which is
 * repeated while the first goes on, or after it was cut off, makes none of them twice, for a day. At the end the ids are
 * kept with the key, in one entry, and the dedup ids are let go. Not at once: a repeat may be on its way that has seen
 * the claim and not yet the ids; it is believed to be so for ten minutes.
 */
import type { Added, JobState, NewJob, OnceCall } from '../core/job.ts';
import { BASE } from './fast/lua/base.ts';
import { ONCE } from './fast/lua/once.ts';
import { type Reply, type Script, script } from './fast/scripts.ts';

/** Dedup ids of callers have no control characters, so that these can never be one of theirs. */
const HOUSE = '\u0001';
const LINGER_MS = 600_000;
/** What nobody has used for so long is forgotten as a whole. */
const IDLE_MS = 25 * 3_600_000;
/** More than one comes with each call. */
const FORGOTTEN_PER_CALL = 8;

/** ARGV: per call key, print, milliseconds. Answers per call: nothing: it is new or goes on; `!`; or runs of its ids. */
const CLAIM = script('claimOnce', BASE, ONCE, {
  keys: [],
  text: `
local answer = {}
for i = 1, #ARGV, 3 do
  forgetOnce(${FORGOTTEN_PER_CALL})
  beginOnce(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  answer[#answer + 1] = once.isOther and '!' or once.runs
  once.isNew = not once.isKnown
  endOnce()
end
for _, key in ipairs({ K_k, K_ks, K_kl }) do call('PEXPIRE', key, ${IDLE_MS}) end
return answer
`,
});

/** ARGV: per call key, print, milliseconds, runs of its ids. */
const KEEP = script('keepOnce', BASE, ONCE, {
  keys: [],
  text: `
for i = 1, #ARGV, 4 do
  beginOnce(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  if not once.isOther then
    once.runs, once.isNew = ARGV[i + 3], true
    endOnce()
  end
end
return 1
`,
});

export interface OnceRooms {
  run(script: Script, args: readonly (string | number)[]): Promise<Reply>;
  add(jobs: readonly NewJob[]): Promise<Added[]>;
  /** Of a job that was enqueued before; undefined: it is forgotten. */
  stateOf(id: string): Promise<JobState | undefined>;
  /** The dedup ids of these keys are not needed after that time. */
  letGo(calls: readonly { readonly key: string; readonly afterMs: number }[]): Promise<void>;
}

/** As `Lane.add`, for jobs of which some are part of calls that are done once. */
export async function addOnce(rooms: OnceRooms, jobs: readonly NewJob[]): Promise<Added[]> {
  // A call and its repeat may come together: what is asked for twice is asked for once.
  const firsts = new Map<string, { readonly job: NewJob; readonly place: number }>();
  const places = jobs.map((job, at) => {
    const { once } = job;
    const name = once === undefined ? `${at}` : `${once.call.key} ${once.call.print} ${once.place}`;
    const first = firsts.get(name);
    if (first === undefined) firsts.set(name, { job, place: firsts.size });
    return first?.place;
  });
  const added = await addEach(
    rooms,
    [...firsts.values()].map(({ job }) => job),
  );
  let next = 0;
  return places.map((place) => (place === undefined ? added[next++]! : repeated(added[place]!)));
}

const repeated = (added: Added): Added => ('refused' in added ? added : { ...added, isDuplicate: true });

async function addEach(rooms: OnceRooms, jobs: readonly NewJob[]): Promise<Added[]> {
  const calls = [...new Set(jobs.flatMap(({ once }) => once?.call ?? []))];
  const claims = (await rooms.run(CLAIM, calls.flatMap(wordsOf))) as string[];
  const known = new Map(calls.map((call, at) => [call, claims[at] === '!' ? undefined : idsOfRuns(claims[at]!)]));
  const added = await Promise.all(jobs.map((job) => answered(rooms, job, known)));
  const open = jobs.flatMap((job, at) => (added[at] === undefined ? [{ at, job: withDedup(job) }] : []));
  if (open.length === 0) return added as Added[];
  const fresh = await rooms.add(open.map(({ job }) => job));
  for (const [index, { at }] of open.entries()) added[at] = fresh[index];
  await keep(rooms, jobs, added as Added[], known);
  const lingering = new Set(open.flatMap(({ job }) => (job.dedup?.id.startsWith(HOUSE) ? [job.once!.call] : [])));
  await rooms.letGo([...lingering].map(({ key, ttlMs }) => ({ key, afterMs: Math.min(ttlMs, LINGER_MS) })));
  return added as Added[];
}

type Known = ReadonlyMap<OnceCall, (string | undefined)[] | undefined>;

const wordsOf = ({ key, print, ttlMs }: OnceCall): (string | number)[] => [key, print, ttlMs];

/** What is known of a job before it is asked for; undefined: nothing. */
async function answered({ stateOf }: OnceRooms, { once }: NewJob, known: Known): Promise<Added | undefined> {
  if (once === undefined) return undefined;
  const ids = known.get(once.call);
  if (ids === undefined) return { refused: 'idempotency_mismatch' };
  const id = ids[once.place];
  if (id === undefined) return undefined;
  return { id, state: (await stateOf(id)) ?? 'completed', isDuplicate: true };
}

function withDedup(job: NewJob): NewJob {
  if (job.once === undefined || job.dedup !== undefined) return job;
  const { call, place } = job.once;
  return { ...job, dedup: { id: `${HOUSE}${call.key}${HOUSE}${place}`, mode: 'throttle', ttlMs: call.ttlMs } };
}

async function keep({ run }: OnceRooms, jobs: readonly NewJob[], added: readonly Added[], known: Known): Promise<void> {
  for (const [at, { once }] of jobs.entries()) {
    const one = added[at]!;
    const ids = once === undefined ? undefined : known.get(once.call);
    if (ids !== undefined && 'id' in one) ids[once!.place] = one.id;
  }
  const words = [...known].flatMap(([call, ids]) => (ids === undefined ? [] : [...wordsOf(call), runsOfIds(ids)]));
  await run(KEEP, words);
}

// ---------------------------------------------------------------- ids in runs

const NUMBER = /^[1-9]\d{0,14}$/;

/** `7` is one, `7+2` this and the next two, `!3` three places without, `=a%2Cb` an id that is no number. */
export function runsOfIds(ids: readonly (string | undefined)[]): string {
  const runs: string[] = [];
  for (let from = 0; from < ids.length; ) {
    const id = ids[from];
    let to = from + 1;
    if (id === undefined) while (to < ids.length && ids[to] === undefined) to++;
    else if (NUMBER.test(id)) while (to < ids.length && ids[to] === `${Number(id) + to - from}`) to++;
    if (id === undefined) runs.push(`!${to - from}`);
    else if (NUMBER.test(id)) runs.push(to - from === 1 ? id : `${id}+${to - from - 1}`);
    else runs.push(`=${encodeURIComponent(id)}`);
    from = to;
  }
  return runs.join(',');
}

export function idsOfRuns(runs: string): (string | undefined)[] {
  const ids: (string | undefined)[] = [];
  for (const run of runs === '' ? [] : runs.split(',')) {
    const [first, more = '0'] = run.split('+');
    if (run.startsWith('!')) ids.length += Number(run.slice(1));
    else if (run.startsWith('=')) ids.push(decodeURIComponent(run.slice(1)));
    else for (let id = Number(first); id <= Number(first) + Number(more); id++) ids.push(`${id}`);
  }
  return ids;
}
