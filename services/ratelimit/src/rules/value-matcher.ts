/** Lists of values: texts, texts with stars, addresses and ranges of addresses. */
import { BlockList, isIP } from 'node:net';
import { WildcardIndex } from '../core/wildcard-index.ts';

type Matcher = (value: string) => boolean;
const NONE: Matcher = () => false;

/** A range of addresses, `10.0.0.0/8`, or undefined when what stands before the slash is no address. */
export interface AddressRange {
  readonly address: string;
  readonly family: 'ipv4' | 'ipv6';
  /** Bits that count; not a number when it is not written as one. */
  readonly prefix: number;
}

export function addressRangeOf(text: string): AddressRange | undefined {
  const slash = text.lastIndexOf('/');
  const family = slash < 0 ? 0 : isIP(text.slice(0, slash));
  if (family === 0) return undefined;
  const bits = text.slice(slash + 1);
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  return { address: text.slice(0, slash), family: family === 4 ? 'ipv4' : 'ipv6', prefix };
}

export const prefixMax = (family: 'ipv4' | 'ipv6'): number => (family === 'ipv4' ? 32 : 128);

/**
 * Whether a value is in a list. An address matches however it is written, `::ffff:10.0.0.1` included.
 *
 * @param list - `alice`, `internal-*`, `127.0.0.1`, `10.0.0.0/8`; checked before.
 * @param exact - Values that mean themselves, whatever they look like.
 * Cost: a hash for texts, one per length of a beginning for stars, 1–2 µs for addresses when the list has some.
 */
export function valueMatcher(list: readonly string[], exact: readonly string[] = []): Matcher {
  if (list.length === 0 && exact.length === 0) return NONE;
  const texts = new Set(exact);
  const wildcards = new WildcardIndex<true>();
  const addresses = new BlockList();
  let hasWildcards = false;
  let hasAddresses = false;
  for (const entry of list) {
    if (addAddress(addresses, entry)) hasAddresses = true;
    else if (entry.includes('*')) hasWildcards = wildcards.at(entry, () => true);
    else texts.add(entry);
  }
  return (value) =>
    texts.has(value) ||
    (hasWildcards && wildcards.first(value) !== undefined) ||
    (hasAddresses && isListed(addresses, value));
}

function addAddress(addresses: BlockList, entry: string): boolean {
  const family = isIP(entry);
  if (family !== 0) {
    addresses.addAddress(entry, family === 4 ? 'ipv4' : 'ipv6');
    return true;
  }
  const range = addressRangeOf(entry);
  if (range !== undefined) addresses.addSubnet(range.address, range.prefix, range.family);
  return range !== undefined;
}

function isListed(addresses: BlockList, value: string): boolean {
  const family = isIP(value);
  return family !== 0 && addresses.check(value, family === 4 ? 'ipv4' : 'ipv6');
}
