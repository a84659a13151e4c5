/** FNV-1a over the end of a key, where keys differ: by it the recorder chooses the keys that it keeps. */
export function hashOf(key: string): number {
  let hash = 0x811c_9dc5;
  for (let at = Math.max(0, key.length - 16); at < key.length; at++) {
    hash = Math.imul(hash ^ key.charCodeAt(at), 0x0100_0193);
  }
  return (hash ^ (hash >>> 15)) >>> 0;
}
