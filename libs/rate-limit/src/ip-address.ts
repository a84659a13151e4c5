/** Addresses and networks of IPv4 and IPv6 as groups of 16 bits, most significant first. */
import { isIPv4, isIPv6 } from 'node:net';

/** 2 groups: IPv4. 8 groups: IPv6. */
export type IpAddress = readonly number[];

/** What shares the first `bits` bits with `groups`. */
export interface Network {
  readonly groups: IpAddress;
  readonly bits: number;
}

/** 45 characters of an IPv6 address, and a zone. What is longer is not looked at. */
const TEXT_CHARS_MAX = 80;
const MAPPED = [0, 0, 0, 0, 0, 0xffff];

/**
 * An address from its text, or undefined when it is none. A zone (`fe80::1%eth0`) is left out: it names an interface of
 * this machine. IPv4 inside of IPv6 (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2) is IPv4: dual-stack sockets write it so.
 */
export function parseAddress(text: string): IpAddress | undefined {
  if (isIPv4(text)) return groupsOfIpv4(text);
  if (text.length > TEXT_CHARS_MAX) return undefined;
  const zoneAt = text.indexOf('%');
  const address = zoneAt === -1 ? text : text.slice(0, zoneAt);
  // `isIPv6` would take a zone; by here there is none.
  if (!isIPv6(address)) return undefined;
  const groups = groupsOfIpv6(address);
  return MAPPED.every((group, at) => groups[at] === group) ? groups.slice(6) : groups;
}

/** `192.0.2.1`, or IPv6 as RFC 5952 wants it: one text per address. */
export function formatAddress(groups: IpAddress): string {
  if (groups.length === 2) return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.');
  const { start, length } = longestZeros(groups);
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return length < 2 ? hex(0, 8) : `${hex(0, start)}::${hex(start + length, 8)}`;
}

/** The first address of the network of so many bits that this one is in. */
export function networkOf(groups: IpAddress, bits: number): IpAddress {
  return groups.map((group, at) => group & maskOf(bits - at * 16));
}

export function contains({ groups, bits }: Network, address: IpAddress): boolean {
  if (groups.length !== address.length) return false;
  for (let at = 0; at * 16 < bits; at++) {
    if ((groups[at]! ^ address[at]!) & maskOf(bits - at * 16)) return false;
  }
  return true;
}

/**
 * A network from `10.0.0.0/8`, or from a single address.
 *
 * @throws RangeError that says what is wrong with the text.
 */
export function parseNetwork(text: string): Network {
  const [addressText = '', bitsText, ...rest] = text.split('/');
  const groups = parseAddress(addressText);
  if (groups === undefined || rest.length > 0) throw new RangeError(`${JSON.stringify(text)} is no address or network`);
  const bitsMax = groups.length * 16;
  if (bitsText === undefined) return { groups, bits: bitsMax };
  const bits = /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : Number.NaN;
  if (!(bits <= bitsMax)) throw new RangeError(`${JSON.stringify(text)} has no prefix of 0 to ${bitsMax} bits`);
  const first = networkOf(groups, bits);
  if (first.some((group, at) => group !== groups[at])) {
    throw new RangeError(`${text} has bits behind its prefix; do you mean ${formatAddress(first)}/${bits}?`);
  }
  return { groups, bits };
}

/** The bits of a group that belong to a prefix of which `bits` are left when it begins. */
function maskOf(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 16 ? 0xffff : (0xffff << (16 - bits)) & 0xffff;
}

function groupsOfIpv4(text: string): number[] {
  const [a, b, c, d] = text.split('.').map(Number) as [number, number, number, number];
  return [(a << 8) | b, (c << 8) | d];
}

/** @param text - Found to be IPv6, without a zone. */
function groupsOfIpv6(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const front = groupsOfPart(head);
  if (tail === undefined) return front;
  const back = groupsOfPart(tail);
  return [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function groupsOfPart(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => (group.includes('.') ? groupsOfIpv4(group) : [Number.parseInt(group, 16)]));
}

function longestZeros(groups: IpAddress): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  for (let at = 0; at < groups.length; at++) {
    let end = at;
    while (groups[end] === 0) end++;
    if (end - at > longest.length) longest = { start: at, length: end - at };
    at = Math.max(at, end);
  }
  return longest;
}
