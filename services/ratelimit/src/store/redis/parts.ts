/** Charges by the slot of a cluster that their keys live in. */
import type { Charge } from '@plinth/limiter';

export interface Part {
  readonly slot: number;
  readonly charges: readonly Charge[];
  /** Where the charges stand among all of the request. */
  readonly places: readonly number[];
}

/** In the order in which their slots come first. Nearly always there is one. */
export function partsOf(charges: readonly Charge[], slotOf: (charge: Charge) => number): Part[] {
  const parts = new Map<number, { slot: number; charges: Charge[]; places: number[] }>();
  for (const [place, charge] of charges.entries()) {
    const slot = slotOf(charge);
    const part = parts.get(slot) ?? { slot, charges: [], places: [] };
    parts.set(slot, part);
    part.charges.push(charge);
    part.places.push(place);
  }
  return [...parts.values()];
}
