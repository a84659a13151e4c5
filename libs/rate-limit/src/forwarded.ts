/**
 * The addresses that proxies say they were called from, nearest proxy last: `X-Forwarded-For`, and `Forwarded` of
 * RFC 7239. Both are read to be believed from the right end only; who may be believed is `client-address.ts`' matter.
 */
import { type IpAddress, parseAddress } from './ip-address.ts';

/** More proxies than any request passes; what stands further left is not looked at. */
export const HOPS_MAX = 32;

/** The n-th address from the right, 0 the last. Undefined: there is none. `malformed`: something else stands there. */
export type HopReader = (hop: number) => IpAddress | 'malformed' | undefined;

/** Reads `X-Forwarded-For` from the right, no further than asked. */
export function readForwardedFor(header: string): HopReader {
  let end = header.length;
  let next = 0;
  let latest: ReturnType<HopReader>;
  return (hop) => {
    for (; next <= hop; next++) {
      if (end < 0 || next >= HOPS_MAX) return undefined;
      const start = header.lastIndexOf(',', end - 1);
      // `lastIndexOf` takes a negative start for 0.
      const at = end === 0 ? -1 : start;
      latest = addressOfNode(header.slice(at + 1, end).trim());
      end = at;
    }
    return latest;
  };
}

/** Reads `Forwarded`. From the left, since a quoted text may hold commas; one fault makes all of it malformed. */
export function readForwarded(header: string): HopReader {
  const elements = elementsOf(header);
  return (hop) => {
    if (elements === undefined) return 'malformed';
    if (hop >= HOPS_MAX || hop >= elements.length) return undefined;
    const node = elements[elements.length - 1 - hop];
    return node === undefined ? 'malformed' : addressOfNode(node);
  };
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`; not `unknown`, `_hidden`. */
function addressOfNode(node: string): IpAddress | 'malformed' {
  const [, inBrackets] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(node) ?? [];
  if (inBrackets !== undefined) return (inBrackets.includes(':') && parseAddress(inBrackets)) || 'malformed';
  const [, beforePort] = /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(node) ?? [];
  return parseAddress(beforePort ?? node) ?? 'malformed';
}

/** One pair of an element, RFC 7239 §4: token = token or quoted text; then `;`, `,` or the end. */
const PAIR = /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*([;,]|$)/y;

/** The `for` of each element, undefined where it has none; or undefined when the header is malformed. */
function elementsOf(header: string): (string | undefined)[] | undefined {
  const elements: (string | undefined)[] = [];
  let node: string | undefined;
  const pair = new RegExp(PAIR);
  for (;;) {
    const found = pair.exec(header);
    if (found === null) return undefined;
    const [, name = '', token, quoted, separator] = found;
    if (name.toLowerCase() === 'for') {
      // Twice in one element is against §4, and which one would be meant?
      if (node !== undefined) return undefined;
      node = token ?? quoted!.replace(/\\(.)/g, '$1');
    }
    if (separator === ';') continue;
    elements.push(node);
    node = undefined;
    if (separator === '') return elements;
  }
}
