/** What many rounds say in one number. */

/**
 * The middle value; of an even count, the mean of the two in the middle.
 * @throws RangeError when there are no values.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values, no median');
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of a figure that some rounds may lack; undefined when all lack it. */
export function medianKnown(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : median(known);
}

/** How two things compare over the rounds. */
export interface Ratio {
  median: number;
  /** The worst and the best round: how far a single round may be trusted. */
  min: number;
  max: number;
}

/**
 * Compares round by round and takes the median of the ratios, not the ratio of the medians: two neighbours in time met
 * the same weather, and a slow minute of the machine cancels out.
 *
 * @returns Undefined when no round has both figures.
 */
export function pairedRatio(pair: {
  of: readonly (number | undefined)[];
  to: readonly (number | undefined)[];
}): Ratio | undefined {
  const ratios = pair.of.flatMap((value, round) => {
    const base = pair.to[round];
    return value === undefined || base === undefined || base === 0 ? [] : [value / base];
  });
  if (ratios.length === 0) return undefined;
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}
