/**
 * Checks that `CL.THROTTLE` asked lately for one unit, found again by the bytes of their key: a program that asks for a
 * key again gets the same check, and its text is not made anew.
 *
 * A table without chains: of two keys that fall into one place the later one stays.
 */
import type { Policy } from '@plinth/limiter';
import type { Check } from '../../core/verdict.ts';

const PLACES = 4_096;
const KEY_BYTES_MAX = 128;

interface Place {
  readonly bytes: Uint8Array;
  readonly policy: Policy;
  readonly check: Check;
}

export class ThrottleChecks {
  readonly #places: (Place | undefined)[] = new Array(PLACES).fill(undefined);

  /** The check for the key that lies in `bytes` from `start` to `end`. */
  find(bytes: Uint8Array, start: number, end: number, policy: Policy): Check | undefined {
    const place = this.#places[placeOf(bytes, start, end)];
    if (place === undefined || place.policy !== policy || place.bytes.length !== end - start) return undefined;
    const known = place.bytes;
    for (let at = 0; at < known.length; at++) if (known[at] !== bytes[start + at]) return undefined;
    return place.check;
  }

  keep(bytes: Uint8Array, start: number, end: number, policy: Policy, check: Check): void {
    if (end - start > KEY_BYTES_MAX) return;
    this.#places[placeOf(bytes, start, end)] = { bytes: Uint8Array.from(bytes.subarray(start, end)), policy, check };
  }
}

/** By the end of the key, where keys differ. */
function placeOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  for (let at = Math.max(start, end - 12); at < end; at++) hash = Math.imul(hash, 31) + bytes[at]!;
  return (hash ^ (hash >>> 15)) & (PLACES - 1);
}
