/** What must not be handed out though a lease came upon it: what has expired, or what BullMQ has failed already. */
import type { Held } from './batch-turn.ts';
import { type Ended, endAsDead, finishClosing, type Gone } from './ending.ts';
import type { QueueHandle } from './queue-handle.ts';

/** BullMQ's word for a job that two native workers lost, unless they were told to bear more. */
const NATIVE_STALLED = 'job stalled more than allowable limit';

/** Ends those. @returns The others. */
export async function sortOut(handle: QueueHandle, held: readonly Held[], nowMs: number): Promise<Held[]> {
  const live: Held[] = [];
  const ended: Promise<Ended | Gone>[] = [];
  const { maxStalls } = (await handle.settings()).limits;
  const spared: string[] = [];
  for (const one of held) {
    const { record, token } = one;
    const { expiresAtMs } = record.said;
    const hasExpired = expiresAtMs > 0 && expiresAtMs <= nowMs && record.attemptsStarted <= 1;
    if (record.deferredFailure === NATIVE_STALLED && record.stalls <= maxStalls) {
      spared.push(handle.jobKey(record.id));
      live.push(one);
    } else if (record.deferredFailure !== undefined) {
      const reason = record.deferredFailure.startsWith('child ') ? 'child' : 'stalled';
      ended.push(endAsDead(handle, record, { token, reason, wasStarted: reason === 'stalled' }));
    } else if (hasExpired) {
      handle.expiredAtLease.push(record.id);
      ended.push(endAsDead(handle, record, { token, reason: 'expired', wasStarted: false }));
    } else live.push(one);
  }
  // How much a job may stall is for the queue to say, and not for a native worker that was told nothing.
  await Promise.all(spared.map((key) => handle.redis.hdel(key, 'defa')));
  if (ended.length > 0) await finishClosing(handle, await Promise.all(ended));
  return live;
}
