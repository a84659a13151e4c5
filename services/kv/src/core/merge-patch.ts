/** JSON merge patch (RFC 7396), and how a patch travels in the log. */

/** A bound that every machine has stack for, so that every replica decides the same. */
export const JSON_DEPTH_MAX = 128;

/** RFC 7396, to the letter. `__proto__` is a member like any other. Both sides must be within `JSON_DEPTH_MAX`. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name);
    else merged.set(name, mergePatch(merged.get(name), value));
  }
  return Object.fromEntries(merged);
}

/** True for JSON that is nested deeper than may be merged. */
export const isTooDeep = (value: unknown): boolean => isDeeper(value, JSON_DEPTH_MAX);

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * A patch as text: MessagePack would rename a member called `__proto__` and lose half of a surrogate pair, so a replay
 * would decide otherwise than the first time. A patch that is too deep becomes undefined: the machine refuses both
 * alike, and an encoder that recurses would run out of stack on it.
 */
export const patchToText = (patch: unknown): string | undefined =>
  isTooDeep(patch) ? undefined : JSON.stringify(patch);

export const patchFromText = (text: unknown): unknown => (text === undefined ? undefined : JSON.parse(text as string));
