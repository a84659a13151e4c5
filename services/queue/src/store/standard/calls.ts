/**
 * Jobs of an idempotent call carry a dedup id of the house's own, `\u0001<call>\u0001<place>`, which no caller can make.
 * As dedup ids of BullMQ's they would be a key each, for a day; so they are kept together, one hash a call.
 */
import type { NewJob } from '../../core/job.ts';

const HOUSE = '\u0001';

export interface CallPlace {
  readonly call: string;
  /** Of the job in it. */
  readonly place: string;
  readonly ttlMs: number;
}

/** Undefined: the job is of no such call. */
export function callPlaceOf({ dedup }: Pick<NewJob, 'dedup'>): CallPlace | undefined {
  if (dedup?.mode !== 'throttle' || !dedup.id.startsWith(HOUSE)) return undefined;
  const [, call, place, ...more] = dedup.id.split(HOUSE);
  return call && /^\d+$/.test(place ?? '') && more.length === 0
    ? { call, place: place!, ttlMs: dedup.ttlMs ?? 0 }
    : undefined;
}

/** As a call's key is noted among the dedup ids of a queue. */
export const notedCall = (key: string): string => HOUSE + key;

/** Of what is noted among the dedup ids of a queue: the key of a call; undefined: it is a dedup id. */
export const callKeyOf = (noted: string): string | undefined => (noted.startsWith(HOUSE) ? noted.slice(1) : undefined);
