/**
 * The address of the caller, behind proxies that are trusted by name.
 *
 * Anybody can write `X-Forwarded-For`. So only what a trusted proxy has appended counts: the header is read from the
 * right, an entry is believed when all to the right of it is trusted, and the first that is not trusted is the caller.
 * Without a trusted proxy the header is not looked at. What is malformed where it should be believed gives the address
 * of the peer: one limit for all of them, and never one that a caller chose.
 */
import { isIPv4 } from 'node:net';
import { HOPS_MAX, type HopReader, readForwarded, readForwardedFor } from './forwarded.ts';
import {
  contains,
  formatAddress,
  type IpAddress,
  type Network,
  networkOf,
  parseAddress,
  parseNetwork,
} from './ip-address.ts';

export interface ClientAddressOptions {
  /**
   * Networks and addresses of proxies that are believed, also by the names `loopback`, `linklocal`, `uniquelocal`
   * (RFC 1918, RFC 4193) and `unix` (a socket of this machine). Or how many proxies stand in front of this process on
   * *every* way to it. Default none: the address of the peer.
   */
  trust?: readonly string[] | number | undefined;
  /** Which header the proxies write. The other one is what a caller wrote. Default `x-forwarded-for`. */
  header?: 'x-forwarded-for' | 'forwarded' | undefined;
  /**
   * Bits of an IPv6 address that stand for one caller, 32 to 128. Default 56: what a household or a virtual machine
   * commonly has, so that nobody gets a new limit with each of his 2⁷² addresses. 48 for those who have more.
   */
  ipv6Prefix?: number | undefined;
}

/** What is known of a request: its peer, and its headers by lower-case name. */
export interface RequestOrigin {
  /** Undefined on a socket of this machine, or when the connection has gone. */
  peer: string | undefined;
  header(name: 'x-forwarded-for' | 'forwarded'): string | undefined;
}

/** Gives IPv4 as it is and of IPv6 the first address of its network; `unknown` when there is no peer. */
export type ClientAddress = (origin: RequestOrigin) => string;

const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};
/** The largest networks somebody owns: 10.0.0.0/8 and fc00::/7. A larger one trusts strangers. */
const BITS_MIN = { 2: 8, 8: 7 } as Readonly<Record<number, number>>;
const UNKNOWN = 'unknown';

/** @throws RangeError with words when the options trust everybody, or mean nothing. */
export function clientAddress(options: ClientAddressOptions = {}): ClientAddress {
  const { trust = [], header = 'x-forwarded-for', ipv6Prefix = 56 } = options;
  if (header !== 'x-forwarded-for' && header !== 'forwarded') {
    throw new RangeError(`header is ${JSON.stringify(header)}; it is x-forwarded-for or forwarded`);
  }
  if (!Number.isInteger(ipv6Prefix) || ipv6Prefix < 32 || ipv6Prefix > 128) {
    throw new RangeError(`ipv6Prefix is ${ipv6Prefix}; it is a whole number from 32 to 128`);
  }
  const find = typeof trust === 'number' ? behindHops(trust) : behindNetworks(trust);
  const read = header === 'forwarded' ? readForwarded : readForwardedFor;
  return (origin) => {
    // The kernel writes IPv4 one way only: what most requests come from costs nothing.
    if (find === peerAddress && origin.peer !== undefined && isIPv4(origin.peer)) return origin.peer;
    const found = find(origin.peer, () => {
      const text = origin.header(header);
      return text === undefined ? nowhere : read(text);
    });
    return typeof found === 'string' ? found : textOf(found, ipv6Prefix);
  };
}

type Find = (peer: string | undefined, hops: () => HopReader) => IpAddress | string;

const nowhere: HopReader = () => undefined;

function textOf(address: IpAddress, ipv6Prefix: number): string {
  return formatAddress(address.length === 2 ? address : networkOf(address, ipv6Prefix));
}

function peerAddress(peer: string | undefined): IpAddress | string {
  return peer === undefined || peer === '' ? UNKNOWN : (parseAddress(peer) ?? UNKNOWN);
}

/** @throws RangeError */
function behindHops(hops: number): Find {
  if (!Number.isInteger(hops) || hops < 0 || hops > HOPS_MAX) {
    throw new RangeError(`trust is ${hops} hops; it is a whole number from 0 to ${HOPS_MAX}`);
  }
  if (hops === 0) return peerAddress;
  return (peer, reader) => {
    // A request that came past a proxy has too few entries, and the peer is the one who is to blame.
    const found = reader()(hops - 1);
    return found === undefined || found === 'malformed' ? peerAddress(peer) : found;
  };
}

/** @throws RangeError */
function behindNetworks(trust: readonly string[]): Find {
  if (!Array.isArray(trust)) {
    const words = 'it is a list of networks, or how many proxies are in front; everybody cannot be trusted';
    throw new RangeError(`trust is ${JSON.stringify(trust)}; ${words}`);
  }
  const trustsUnix = trust.includes('unix');
  const networks = trust.filter((text) => text !== 'unix').flatMap(networksOf);
  if (networks.length === 0 && !trustsUnix) return peerAddress;
  const isTrusted = (address: IpAddress) => networks.some((network) => contains(network, address));
  return (peer, reader) => {
    const nearest = peerAddress(peer);
    if (typeof nearest === 'string' ? !(trustsUnix && !peer) : !isTrusted(nearest)) return nearest;
    return firstStranger(reader(), isTrusted) ?? nearest;
  };
}

/** The first from the right who is not trusted, or the last trusted one. Undefined: malformed, or nothing is there. */
function firstStranger(hopAt: HopReader, isTrusted: (address: IpAddress) => boolean): IpAddress | undefined {
  let furthest: IpAddress | undefined;
  for (let hop = 0; hop < HOPS_MAX; hop++) {
    const address = hopAt(hop);
    if (address === 'malformed') return undefined;
    if (address === undefined) return furthest;
    if (!isTrusted(address)) return address;
    furthest = address;
  }
  return undefined;
}

/** @throws RangeError */
function networksOf(text: string): Network[] {
  if (typeof text !== 'string') throw new RangeError(`trust has ${JSON.stringify(text)}; it is a list of networks`);
  const named = Object.hasOwn(NAMED, text) ? NAMED[text] : undefined;
  if (named !== undefined) return named.map(parseNetwork);
  const network = parseNetwork(text);
  const bitsMin = BITS_MIN[network.groups.length]!;
  if (network.bits < bitsMin) {
    const why = 'who trusts strangers lets every caller choose the address that he is limited by';
    throw new RangeError(`trust has ${text}, which is wider than /${bitsMin}: ${why}`);
  }
  return [network];
}
