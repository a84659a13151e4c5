/** How many jobs a line may ask for, when several queues share the slots of a worker. */
import type { Line } from './line.ts';
import type { Slots } from './slots.ts';

export interface Allowance {
  max: number;
  /** Handlers are idle, or soon will be. */
  isWanted: boolean;
  /** Nothing runs, and nothing waits to. */
  isIdle: boolean;
}

export interface SharedSlots {
  lines: readonly Line[];
  slots: Slots;
  concurrency: number;
}

/** The most that the service gives in a call. */
const LEASES_PER_CALL_MAX = 1_000;

/**
 * The room that has not been asked for yet. A queue that had nothing is asked for a few only, so that many idle queues do
 * not reserve the room that a busy one needs; but always for one, so that none has to wait for the others. A second call
 * of a line is worth it where there is nobody to share with, and room for a good part of all.
 */
export function allowanceOf(line: Line, { lines, slots, concurrency }: SharedSlots): Allowance {
  const isIdle = slots.runningCount + slots.waitingCount === 0;
  const { room, isLow } = slots;
  if (room <= 0) return { max: 0, isWanted: false, isIdle };
  if (lines.length === 1) {
    const max = Math.min(room - line.asked, LEASES_PER_CALL_MAX);
    return { max, isWanted: line.asked === 0 ? isLow : max * 4 >= concurrency + slots.prefetch, isIdle };
  }
  if (line.asked > 0) return { max: 0, isWanted: false, isIdle };
  let shared = room;
  for (const other of lines) shared -= other.asked;
  if (line.isEmpty) shared = Math.min(shared, Math.floor(concurrency / (2 * lines.length)));
  return { max: Math.min(Math.max(1, shared), LEASES_PER_CALL_MAX), isWanted: isLow, isIdle };
}
