/**
 * Whom a call may reach. A URL that a user gives must not lead into the network that the service stands in: its
 * neighbours, the host itself, the cloud's metadata (server-side request forgery).
 *
 * A look before the call would not do: a name can mean another address a moment later. So the look is the
 * connection's own: `guardedLookup` is what the agents resolve names with, and the socket goes to just the addresses
 * that it answered. Every address of a name must be good, or none is used. Redirects are never followed.
 */

import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

const URL_CHARS_MAX = 2_048;

/** Ports of services that speak no HTTP but would act on lines in it. Of WHATWG fetch's list those that matter here. */
const BAD_PORTS = new Set([
  0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
  111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
  540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
  6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

/** Names that by their meaning stay inside. Only a kind word at definition time: the lookup decides. */
const INNER_NAME = /(^|\.)(localhost|local|internal|localdomain|home\.arpa)$/;

/** Ranges in which ipaddr.js sees plain unicast, but which lead to nobody's public server. */
const FURTHER_RANGES: readonly [string, string][] = [
  // Deprecated site-local (RFC 3879); some networks still route it.
  ['fec0::/10', 'site-local'],
  // IPv4-compatible (RFC 4291 §2.5.5.1): the address of a v4 host in another coat.
  ['::/96', 'IPv4-compatible'],
  // Local-use translation (RFC 8215): what v4 address is meant is the network's own secret.
  ['64:ff9b:1::/48', 'translated'],
  // Special use (RFC 7534, RFC 7535, RFC 3068) and the dummy of RFC 7600.
  ['192.31.196.0/24', 'reserved'],
  ['192.52.193.0/24', 'reserved'],
  ['192.88.99.0/24', 'reserved'],
  ['192.175.48.0/24', 'reserved'],
  // Metadata outside of link-local: Alibaba Cloud's lies in CGNAT, Azure's wire server and Oracle's do not.
  ['168.63.129.16/32', 'metadata'],
  ['192.0.0.192/32', 'metadata'],
];
const FURTHER = FURTHER_RANGES.map(([cidr, name]) => ({ range: ipaddr.parseCIDR(cidr), name }));

/** Thrown by a connection that may not be made. Not for the target's ears, but the job's error says it. */
export class ForbiddenAddress extends Error {
  override name = 'ForbiddenAddress';
  readonly code = 'forbidden_address';
}

/**
 * What range an address lies in that calls may not go to; undefined: it is a public unicast address. What cannot be
 * read as an address is refused too.
 */
export function forbiddenRange(address: string): string | undefined {
  // A zone ("fe80::1%eth0") names an interface of ours: nothing public has one.
  if (address.includes('%')) return 'zoned';
  // ipaddr.js takes "::8.8.8.8" for "::ffff:8.8.8.8"; the system does not.
  if (/^::\d+\./.test(address)) return 'IPv4-compatible';
  if (!ipaddr.isValid(address)) return 'unreadable';
  const parsed = ipaddr.parse(address);
  const range = parsed.range();
  if (parsed.kind() === 'ipv6') {
    const inner = embedded(parsed as ipaddr.IPv6, range);
    if (inner !== undefined) return forbiddenRange(inner.toString());
  }
  if (range !== 'unicast') return range;
  return FURTHER.find(({ range: cidr }) => cidr[0].kind() === parsed.kind() && parsed.match(cidr))?.name;
}

/** The IPv4 address that an IPv6 one only carries: mapped, or NAT64's well-known prefix (RFC 6052), or 6to4. */
function embedded(address: ipaddr.IPv6, range: string): ipaddr.IPv4 | undefined {
  if (address.isIPv4MappedAddress()) return address.toIPv4Address();
  const bytes = address.toByteArray();
  if (range === 'rfc6052') return new ipaddr.IPv4(bytes.slice(12));
  return range === '6to4' ? new ipaddr.IPv4(bytes.slice(2, 6)) : undefined;
}

export type ReadUrl = { readonly url: URL; readonly host: string } | { readonly fault: string };

/** Reads a URL that calls may go to. `host` is without brackets, an IPv4 in its one true form (`0x7f.1` is 127.0.0.1). */
export function readHttpUrl(text: string): ReadUrl {
  if (text.length > URL_CHARS_MAX)
    return { fault: `the URL has ${text.length} characters; the most is ${URL_CHARS_MAX}` };
  if (!URL.canParse(text)) return { fault: 'this is not an absolute URL' };
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { fault: `only http and https, not ${url.protocol.slice(0, -1)}` };
  }
  if (url.username !== '' || url.password !== '') return { fault: 'no credentials in the URL; use headers' };
  if (url.hash !== '') return { fault: 'no fragment in the URL' };
  if (url.port !== '' && BAD_PORTS.has(Number(url.port))) return { fault: `port ${url.port} is not one of HTTP` };
  return { url, host: url.hostname.replace(/^\[|\]$/g, '') };
}

/** What is wrong with a host that needs no lookup to see; undefined: nothing. */
export function addressFault(host: string, allowPrivate: boolean): string | undefined {
  if (allowPrivate) return undefined;
  if (isIP(host) === 0) {
    return INNER_NAME.test(host.replace(/\.$/, '')) ? `${host} is a name of the inside` : undefined;
  }
  const range = forbiddenRange(host);
  return range === undefined ? undefined : `${host} is not a public address (${range})`;
}

type ResolveAll = (
  host: string,
  answer: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

const resolveBySystem: ResolveAll = (host, answer) => systemLookup(host, { all: true, verbatim: true }, answer);

/**
 * The lookup that agents connect by: fails for a name that has any forbidden address, and else answers the addresses
 * it has checked, so that nothing is looked up a second time.
 *
 * @param resolve - For tests: what a name means.
 */
export function guardedLookup(allowPrivate: boolean, resolve: ResolveAll = resolveBySystem): LookupFunction {
  return (host, options, callback) => {
    resolve(host, (error, addresses) => {
      if (error !== null) return callback(error, '');
      const bad = allowPrivate ? undefined : addresses.find(({ address }) => forbiddenRange(address) !== undefined);
      if (bad !== undefined) return callback(new ForbiddenAddress(refusal(host, bad.address)), '');
      const wanted = addresses.filter(({ family }) => !options.family || family === familyOf(options.family));
      const [first] = wanted;
      if (first === undefined) return callback(new Error(`${host} has no address`), '');
      if (options.all) return callback(null, wanted);
      callback(null, first.address, first.family);
    });
  };
}

const familyOf = (family: number | string): number => (family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : Number(family));

const refusal = (host: string, address: string): string =>
  `${host} means ${address}, which is not a public address (${forbiddenRange(address)})`;
