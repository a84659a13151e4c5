/**
 * The order of a fair race: all opponents of one case run one after the other before the next case begins, so each
 * comparison is between neighbours in time; and each round begins with another opponent, so nobody always runs behind
 * the same one.
 */

/** One case of a benchmark with those who take part in it. */
export interface Heat<C, O> {
  case: C;
  opponents: readonly O[];
}

/** One run to do. */
export interface Turn<C, O> {
  round: number;
  case: C;
  opponent: O;
}

/** All runs in order: round by round, in a round case by case, in a case opponent by opponent. */
export function* turns<C, O>(rounds: number, heats: readonly Heat<C, O>[]): Generator<Turn<C, O>> {
  for (let round = 0; round < rounds; round++) {
    for (const heat of heats) {
      for (const opponent of rotated(heat.opponents, round)) yield { round, case: heat.case, opponent };
    }
  }
}

function rotated<T>(list: readonly T[], by: number): T[] {
  const first = by % Math.max(1, list.length);
  return [...list.slice(first), ...list.slice(0, first)];
}
