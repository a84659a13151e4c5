/** A bucket's name has no order, a descriptor has: which orders of its keys are tried on the rules, and in which order. */
import type { Entry } from '../../core/rule.ts';

/** Orders of more keys than this are too many to try: 4 have 24, and these are tried as they sort. */
const KEYS_MAX = 4;

/** All orders, by key; that of the sorted keys first. `entries` are sorted. */
export function ordersOf(entries: readonly Entry[]): (readonly Entry[])[] {
  return entries.length > KEYS_MAX ? [entries] : permutations(entries);
}

function permutations(entries: readonly Entry[]): (readonly Entry[])[] {
  if (entries.length <= 1) return [entries];
  return entries.flatMap((first, at) => permutations(entries.toSpliced(at, 1)).map((rest) => [first, ...rest]));
}
