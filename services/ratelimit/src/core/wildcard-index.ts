/**
 * Wildcard patterns that stand side by side, found by a value without trying them all.
 *
 * A pattern is filed under what it begins with, up to its first star; one that begins with a star, under what it ends
 * with. A value is looked up once for each length that such a beginning or end has, so the cost grows with the number
 * of different lengths and not with the number of patterns. Only patterns that begin alike are tried one by one.
 */

/** A pattern with what it leads to. `order`: of writing; the first that matches wins. */
export interface Wildcard<T> {
  readonly order: number;
  readonly pattern: string;
  readonly leadsTo: T;
}

interface Filed<T> extends Wildcard<T> {
  /** The pattern between its stars. */
  readonly parts: readonly string[];
}

export class WildcardIndex<T> {
  readonly #byHead = new Map<string, Filed<T>[]>();
  readonly #byTail = new Map<string, Filed<T>[]>();
  #headLengths: readonly number[] = [];
  #tailLengths: readonly number[] = [];
  readonly #byPattern = new Map<string, T>();

  /** What a pattern leads to; made by `make` when it is new here. */
  at(pattern: string, make: () => T): T {
    const known = this.#byPattern.get(pattern);
    if (known !== undefined) return known;
    const made = make();
    this.#file({ order: this.#byPattern.size, pattern, leadsTo: made, parts: pattern.split('*') });
    this.#byPattern.set(pattern, made);
    return made;
  }

  /** The first written of those that match. Cost: a hash per length of a beginning, see above. */
  first(value: string): Wildcard<T> | undefined {
    let best = earliest(this.#byHead, this.#headLengths, value, false, undefined);
    if (this.#tailLengths.length > 0) best = earliest(this.#byTail, this.#tailLengths, value, true, best);
    return best;
  }

  /** All that match, in the order they were written in. */
  all(value: string): Wildcard<T>[] {
    const found: Filed<T>[] = [];
    for (const length of this.#headLengths) {
      if (length <= value.length) collect(this.#byHead, value.slice(0, length), value, found);
    }
    for (const length of this.#tailLengths) {
      if (length <= value.length) collect(this.#byTail, value.slice(-length), value, found);
    }
    return found.length < 2 ? found : found.sort((left, right) => left.order - right.order);
  }

  /** All there are, in order. */
  entries(): IterableIterator<[string, T]> {
    return this.#byPattern.entries();
  }

  #file(wildcard: Filed<T>): void {
    const head = wildcard.parts[0]!;
    const tail = wildcard.parts.at(-1)!;
    const isFiledByTail = head === '' && tail !== '';
    const [shelf, place] = isFiledByTail ? [this.#byTail, tail] : [this.#byHead, head];
    const beside = shelf.get(place);
    if (beside !== undefined) {
      beside.push(wildcard);
      return;
    }
    shelf.set(place, [wildcard]);
    if (isFiledByTail) this.#tailLengths = withLength(this.#tailLengths, place.length);
    else this.#headLengths = withLength(this.#headLengths, place.length);
  }
}

function withLength(lengths: readonly number[], length: number): readonly number[] {
  return lengths.includes(length) ? lengths : [...lengths, length];
}

function earliest<T>(
  shelf: ReadonlyMap<string, Filed<T>[]>,
  lengths: readonly number[],
  value: string,
  isByTail: boolean,
  before: Filed<T> | undefined,
): Filed<T> | undefined {
  let best = before;
  for (const length of lengths) {
    if (length > value.length) continue;
    const beside = shelf.get(isByTail ? value.slice(-length) : value.slice(0, length));
    if (beside === undefined) continue;
    for (const wildcard of beside) {
      if (best !== undefined && wildcard.order > best.order) break;
      if (!matchesWildcard(wildcard.parts, value)) continue;
      best = wildcard;
      break;
    }
  }
  return best;
}

function collect<T>(shelf: ReadonlyMap<string, Filed<T>[]>, place: string, value: string, found: Filed<T>[]): void {
  for (const wildcard of shelf.get(place) ?? []) if (matchesWildcard(wildcard.parts, value)) found.push(wildcard);
}

/**
 * Whether a value matches a pattern, given as its parts between stars; a star is any number of characters, also none.
 *
 * The parts amid are taken where they come first, which leaves the most for those behind: no search is ever repeated,
 * so that no value can make it slow.
 */
export function matchesWildcard(parts: readonly string[], value: string): boolean {
  const head = parts[0]!;
  if (parts.length === 1) return head === value;
  const tail = parts[parts.length - 1]!;
  if (value.length < head.length + tail.length || !value.startsWith(head) || !value.endsWith(tail)) return false;
  const end = value.length - tail.length;
  let from = head.length;
  for (let amid = 1; amid < parts.length - 1; amid++) {
    const at = value.indexOf(parts[amid]!, from);
    if (at < 0 || at + parts[amid]!.length > end) return false;
    from = at + parts[amid]!.length;
  }
  return true;
}
