/**
 * One ordered walk over several layers of the same map, newest layer first: where two layers have a key, the newer
 * one speaks, and a null from it says the key is gone. Lazy: nothing is read ahead but one pair per layer.
 */
import type { Pair } from './ordered-table.ts';
import type { Pending } from './row-arena.ts';
import type { Entry, Range } from './store.ts';

/** A layer's pairs in the order asked for. `return` is called when the walk ends early. */
export type Layer = Iterator<Pair<Pending>>;

/** True when no key can be in the range, whatever the map holds. */
export function isEmptyRange({ start, end }: Range): boolean {
  return end !== undefined && (end === '' || (start !== undefined && start >= end));
}

/** Merges layers that are all sorted in the direction of `reverse`. Cost: one string comparison per layer and entry. */
export function* mergeLayers(layers: readonly Layer[], reverse: boolean): Generator<Entry> {
  const heads = layers.map(nextOf);
  try {
    for (let head = firstOf(heads, reverse); head !== undefined; head = firstOf(heads, reverse)) {
      for (let i = 0; i < heads.length; i++) {
        if (heads[i]?.key === head.key) heads[i] = nextOf(layers[i]!);
      }
      if (head.value !== null) yield head as Entry;
    }
  } finally {
    for (const layer of layers) layer.return?.();
  }
}

function nextOf(layer: Layer): Pair<Pending> | undefined {
  const { done, value } = layer.next();
  return done ? undefined : value;
}

/** The head that comes first; of equal keys, the newest layer's. */
function firstOf(heads: readonly (Pair<Pending> | undefined)[], reverse: boolean): Pair<Pending> | undefined {
  let first: Pair<Pending> | undefined;
  for (const head of heads) {
    if (head === undefined) continue;
    if (first === undefined || (reverse ? head.key > first.key : head.key < first.key)) first = head;
  }
  return first;
}
