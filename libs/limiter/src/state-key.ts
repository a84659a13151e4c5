/**
 * One key of several parts, so that no two lists of parts give the same: each part stands behind its length. (Joined by
 * a separator, `user=x_role_admin` would be `user=x, role=admin`.) Cost: one concatenation.
 */
export function stateKey(parts: readonly string[]): string {
  let key = '';
  for (const part of parts) key += `${part.length}:${part}`;
  return key;
}
