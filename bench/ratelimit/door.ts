/** A limiter seen from its caller, one question at a time: for checks and probes, not for speed. */
import type { LimitName } from './workload.ts';

export interface Door {
  /** Who answers, and by which algorithm or protocol. */
  readonly name: string;
  /** True for a library: its answers belong to one question at a time, as in one process they do. */
  readonly isInProcess?: boolean;
  /** Asks for one unit of a key. */
  take(limit: LimitName, key: string): Promise<boolean>;
}

/** More than ten, so that the wrong yes would show at any place behind it. */
const ASKED = 25;

/**
 * Asks a fresh key with a limit of ten for more, one by one.
 * @throws Error unless exactly the first ten are allowed: a figure of such a limiter, or by such a client, says nothing.
 */
export async function assertAdmitsTen(door: Door): Promise<void> {
  const key = `check-${process.pid}-${performance.now()}`;
  const verdicts: boolean[] = [];
  for (let asked = 0; asked < ASKED; asked++) verdicts.push(await door.take('ten', key));
  const wanted = verdicts.map((_, index) => index < 10);
  if (verdicts.every((verdict, index) => verdict === wanted[index])) return;
  const seen = verdicts.map((isAllowed) => (isAllowed ? '1' : '0')).join('');
  throw new Error(`${door.name}: of ${ASKED} questions under a limit of ten these were allowed: ${seen}`);
}
