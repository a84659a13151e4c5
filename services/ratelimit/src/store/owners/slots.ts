/**
 * Which member owns a key. Keys fall into 1,024 slots, and a slot belongs to the member that scores highest for it:
 * rendezvous hashing (Thaler and Ravishankar, 1998). Whoever knows the same members comes to the same owners, and a
 * member that comes or goes moves only the slots it gains or had. Who comes second for a slot is who owns it if the
 * first dies: that is where copies belong.
 */

/** Enough that 64 members differ by few per cent in load; few enough that a table of them is made in no time. */
export const SLOTS = 1_024;
/** A table costs members × slots hashes, and each member hears the heartbeats of all. */
export const MEMBERS_MAX = 64;

/** @returns 0 … 1,023. FNV-1a over the UTF-16 units, then mixed: its low bits alone would favour some slots. */
export function slotOf(key: string): number {
  return mix(fnv(key)) & (SLOTS - 1);
}

/** Who owns what, as one set of members has it. */
export interface SlotTable {
  /** By slot. */
  readonly owners: readonly string[];
  /** By slot: who is next; undefined when there is but one member. */
  readonly successors: readonly (string | undefined)[];
}

/** @param members - At least one; their order does not matter. */
export function slotTable(members: readonly string[]): SlotTable {
  // A tie goes to the lesser id, whatever order they came in.
  const ranked = [...members].sort().map((id) => ({ id, seed: fnv(id) }));
  const owners: string[] = [];
  const successors: (string | undefined)[] = [];
  for (let slot = 0; slot < SLOTS; slot++) {
    let [first, second]: (string | undefined)[] = [];
    let [firstScore, secondScore] = [-1, -1];
    const salt = Math.imul(slot + 1, 0x9e3779b1);
    for (const { id, seed } of ranked) {
      const score = mix(seed ^ salt);
      if (score > firstScore) [second, secondScore, first, firstScore] = [first, firstScore, id, score];
      else if (score > secondScore) [second, secondScore] = [id, score];
    }
    owners.push(first!);
    successors.push(second);
  }
  return { owners, successors };
}

/** Slots as they travel: ranges `[from, to)`, one after the other. */
export function rangesOf(slots: Iterable<number>): number[] {
  const ranges: number[] = [];
  for (const slot of [...slots].sort((a, b) => a - b)) {
    if (ranges.at(-1) === slot) ranges[ranges.length - 1] = slot + 1;
    else ranges.push(slot, slot + 1);
  }
  return ranges;
}

export function slotsIn(ranges: readonly number[]): number[] {
  const slots: number[] = [];
  for (let at = 0; at + 1 < ranges.length; at += 2) {
    for (let slot = Math.max(0, ranges[at]!); slot < Math.min(SLOTS, ranges[at + 1]!); slot++) slots.push(slot);
  }
  return slots;
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3: every bit of the input moves about half of those of the result. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
