/** Checks of what callers give: exact errors, before anything is allocated. */

/**
 * @param name - How the caller knows the number.
 * @throws RangeError when `value` is not an integer from `min` to `max`.
 */
export function integerWithin(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name} is ${value}; it must be an integer from ${min} to ${max}`);
}

/** Page size of common machines: nothing asks for more. */
export const ALIGNMENT_MAX = 4096;

/** @throws RangeError when it is not a power of two from 1 to 4,096. */
export function alignmentOf(value: number): number {
  integerWithin('alignment', value, 1, ALIGNMENT_MAX);
  if ((value & (value - 1)) !== 0) throw new RangeError(`alignment is ${value}; it must be a power of two`);
  return value;
}

/** Rounds up to the next multiple. A division, as sizes may be beyond 32 bits. */
export function roundUp(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}
