/** From what Redis keeps of a job to what people see of it. */
import type { Attempt, JobState, JobView } from '../../../core/job.ts';
import { type HistoryRecord, historyOf, type LeaseRecord, leaseOf, recordOf, type StaticRecord } from '../record.ts';

/** One answer of `look-script.ts`. */
export type Looked = readonly [
  record: string,
  state: JobState,
  score: string,
  lease: string,
  history: string,
  result: string,
  progress: string,
  log: string,
  children: string,
];

export function viewOf(queue: string, id: string, looked: Looked): JobView {
  const [text, state, score, leaseText, historyText, result, progress, log, children] = looked;
  const record = recordOf(text);
  const past = historyOf(historyText);
  const lease = leaseText === '' ? undefined : leaseOf(leaseText);
  const history = lease === undefined ? past.entries : [...past.entries, running(lease)];
  const { name, data, group, tags, priority, attempts, enqueuedAtMs, traceparent, tracestate } = record;
  const { callbackUrl, failureCallbackUrl, resultTo } = record;
  return {
    ...{ id, queue, state, name, data, group, tags, priority, attempts, enqueuedAtMs, traceparent, tracestate },
    ...{ callbackUrl, failureCallbackUrl, resultTo },
    attempt: lease?.attempt ?? past.attempts,
    stalls: lease?.stalls ?? past.stalls,
    dueAtMs: dueOf(state, score, record, past),
    startedAtMs: history.at(-1)?.startedAtMs,
    finishedAtMs: past.finishedAtMs,
    deadlineMs: lease === undefined ? undefined : Number(score),
    worker: lease?.worker,
    progress: progress === '' ? undefined : progress,
    result: result === '' ? undefined : result,
    log: log === '' ? [] : log.replace(/\n$/, '').split('\n'),
    error: state === 'completed' ? undefined : past.entries.findLast(({ error }) => error !== undefined)?.error,
    reason: past.reason,
    history,
    parentId: record.parent?.id,
    pendingChildren: state === 'waiting-children' ? Number(children) : 0,
  };
}

function dueOf(state: JobState, score: string, record: StaticRecord, past: HistoryRecord): number | undefined {
  if (state === 'waiting-children') return undefined;
  if (state === 'scheduled' || state === 'retrying') return Number(score);
  return past.dueAtMs ?? record.dueAtMs;
}

const running = ({ attempt, worker, startedAtMs }: LeaseRecord): Attempt => ({
  ...{ attempt, worker, startedAtMs, endedAtMs: undefined, outcome: 'running', error: undefined },
});
