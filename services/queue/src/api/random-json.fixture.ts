/** Random JSON for tests that hold one reader to another. */
import type { SeededRandom } from '@plinth/testkit';

const TEXTS = ['', 'plain', 'with "quotes"', 'back\\slash\\', '{[}]', 'ünï 漢字 😀', ', : ', '\n\t\u0001', 'a"\\"b'];

export function jsonValue(random: SeededRandom, depthMax: number): unknown {
  const kind = random.int(depthMax > 0 ? 7 : 5);
  if (kind === 0) return null;
  if (kind === 1) return random() < 0.5;
  if (kind === 2) return random.int(1e6) - 5e5;
  if (kind === 3) return random() * 1e-3;
  if (kind === 4) return random.pick(TEXTS);
  const parts = Array.from({ length: random.int(4) }, () => jsonValue(random, depthMax - 1));
  if (kind === 5) return parts;
  return Object.fromEntries(parts.map((part, at) => [`${random.pick(TEXTS)}${at}`, part]));
}

/** The same JSON with blanks where JSON allows them. */
export function spaced(random: SeededRandom, json: string): string {
  let isInText = false;
  let out = '';
  for (let at = 0; at < json.length; at++) {
    const char = json[at]!;
    if (char === '\\') {
      out += char + json[++at]!;
      continue;
    }
    if (char === '"') isInText = !isInText;
    const isFree = !isInText && '{}[],:'.includes(char) && random() < 0.3;
    out += isFree ? `${random.pick([' ', '\n', '\t', ''])}${char}${random.pick([' ', '\r\n', ''])}` : char;
  }
  return out;
}
