/** The parts that `stateKey` of `@plinth/limiter` joined: domain, rule, and the values that tell keys apart. */
export function keyParts(key: string): string[] {
  const parts: string[] = [];
  for (let at = 0; at < key.length; ) {
    const colon = key.indexOf(':', at);
    const start = colon + 1;
    at = start + Number(key.slice(at, colon));
    parts.push(key.slice(start, at));
  }
  return parts;
}
