/** How leases are renewed, and what workers tell on the way. */
import type { Renewal, Renewed } from '../../core/job.ts';
import { run } from './own-scripts.ts';
import { LOCK_GRACE_MS, type QueueHandle } from './queue-handle.ts';

const LOG_LINES_MAX = 100;
const LOG_LINE_BYTES_MAX = 1_024;

export async function renew(handle: QueueHandle, renewals: readonly Renewal[]): Promise<Renewed[]> {
  if (renewals.length === 0) return [];
  const { keys, own } = handle.place;
  const answers = await run<('lost' | 'unknown' | [number, string | null])[]>(
    handle.redis,
    'RENEW',
    [
      ...[own.lease, own.deadlines, own.cancels, keys.stalled!],
      ...renewals.flatMap(({ id }) => [handle.jobKey(id), handle.lockKey(id)]),
    ],
    [LOCK_GRACE_MS, ...renewals.flatMap(({ id, token, leaseMs }) => [id, token, leaseMs])],
  );
  await Promise.all(renewals.map((renewal, at) => (Array.isArray(answers[at]) ? tell(handle, renewal) : undefined)));
  return renewals.map(({ id }, at) => {
    const answer = answers[at]!;
    if (!Array.isArray(answer)) return { id, refused: answer };
    return { id, deadlineMs: answer[0], cancel: answer[1] ?? undefined };
  });
}

/** BullMQ takes progress as a value, and log lines one by one. */
async function tell(handle: QueueHandle, { id, progress, log }: Renewal): Promise<void> {
  const backend = handle.backend();
  const said = log.slice(-LOG_LINES_MAX).map((line) => backend.addLog(id, cut(line), LOG_LINES_MAX));
  if (progress !== undefined) said.push(backend.updateProgress(id, JSON.parse(progress)) as unknown as Promise<number>);
  await Promise.all(said);
}

const cut = (line: string): string =>
  Buffer.byteLength(line) <= LOG_LINE_BYTES_MAX
    ? line
    : new TextDecoder().decode(Buffer.from(line).subarray(0, LOG_LINE_BYTES_MAX)).replace(/\uFFFD$/, '');
