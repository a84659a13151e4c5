/** Where a list goes on: the state it is in, and the position there. Opaque to whoever carries it. */
import type { JobState } from '../../../core/job.ts';

export interface Place {
  readonly state: JobState;
  /** As `find-script.ts` says; nothing: from its newest on. */
  readonly position: string;
}

const FORM = /^([a-z-]+) (|[0-9]{1,16}|[0-9.e+]{1,24}:(?:[0-9]{1,16}|b[0-9]{1,16}\.[0-9]{1,4}))$/;

export const cursorOf = ({ state, position }: Place): string =>
  Buffer.from(`${state} ${position}`).toString('base64url');

/**
 * @param states - Those of the list; a cursor of another list is none of this one.
 * @throws RangeError when no list of these states can have given this cursor.
 */
export function placeOf(cursor: string, states: readonly JobState[]): Place {
  const [, state, position] = FORM.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  const found = states.find((one) => one === state);
  if (found === undefined || position === undefined) throw new RangeError('cursor is not one that this list gave');
  return { state: found, position };
}
