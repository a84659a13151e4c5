/** What was answered under an idempotency key, for a day: a repeat is answered again, not done again. */
import { Problem } from '@plinth/problem';
import type { Store } from '../store/store.ts';
import { key56 } from './byte-codec.ts';
import { type Done, decodeStored, encodeStored, type Once, type Outcome } from './command.ts';
import { idempotencyDueKey, idempotencyKey, parseIdempotencyDueKey } from './layout.ts';

/** How long an idempotency key is remembered. */
export const IDEMPOTENCY_MS = 24 * 3_600_000;

interface Remembered {
  fingerprint: string;
  outcome: Done;
}

const EMPTY = new Uint8Array(0);

/** The answer to a request that was seen before, or a problem when the key was used for another one. */
export function recall(store: Store, bucket: number, { id, fingerprint }: Once): Outcome | undefined {
  const row = store.get('idempotency', idempotencyKey(bucket, id));
  if (row === undefined) return undefined;
  // The answer outlives this turn and may hold values: read from a copy of the row.
  const remembered = decodeStored(Buffer.from(row)) as Remembered;
  if (remembered.fingerprint === fingerprint) return { ...remembered.outcome, replayed: true };
  return new Problem('idempotency_mismatch', `the idempotency key ${id} belongs to another request`);
}

/** @returns When it is forgotten. */
export function remember(
  store: Store,
  bucket: number,
  { id, fingerprint }: Once,
  outcome: Done,
  timeMs: number,
): number {
  const dueMs = timeMs + IDEMPOTENCY_MS;
  store.put('idempotency', idempotencyKey(bucket, id), encodeStored({ fingerprint, outcome }));
  store.put('idempotency', idempotencyDueKey(dueMs, bucket, id), EMPTY);
  return dueMs;
}

/** When the oldest is forgotten; Infinity when there is none. */
export function nextForgottenMs(store: Store): number {
  const [row] = store.range('idempotency', { start: 't' });
  return row === undefined ? Infinity : parseIdempotencyDueKey(row.key).timeMs;
}

/** Forgets up to `limit` of those that are due. */
export function forgetDue(store: Store, timeMs: number, limit: number): void {
  const due: string[] = [];
  for (const { key } of store.range('idempotency', { start: 't', end: `t${key56(timeMs + 1)}` })) {
    if (due.push(key) === limit) break;
  }
  for (const key of due) {
    const { bucket, id } = parseIdempotencyDueKey(key);
    store.remove('idempotency', idempotencyKey(bucket, id));
    store.remove('idempotency', key);
  }
}
