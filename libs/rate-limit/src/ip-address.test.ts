import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { contains, formatAddress, networkOf, parseAddress, parseNetwork } from './ip-address.ts';

const written = (text: string) => {
  const address = parseAddress(text);
  return address && formatAddress(address);
};

describe('an address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    ['2001:db8::1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6::', '1:2:3:4:5:6::'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['::ffff:192.0.2.1%3', '192.0.2.1'],
  ])('%s is %s', (text, canonical) => {
    expect(written(text)).toBe(canonical);
  });

  test.each([
    ...['', ' ', '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.4 ', '0x7f.1', '1.2.3.4%eth0', ':::', '1::2::3'],
    ...['12345::', '::g', '1:2:3:4:5:6:7:8:9', '[::1]', '%eth0', 'localhost', `::1%${'x'.repeat(100)}`],
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  test('is written in one way only: what is read again is the same', () => {
    const random = seededRandom();
    for (let round = 0; round < 5_000; round++) {
      const groups = Array.from({ length: 8 }, () => (random() < 0.5 ? 0 : random.int(65_536)));
      const text = formatAddress(groups);
      const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
      expect(parseAddress(text)).toEqual(mapped ? groups.slice(6) : groups);
      expect(written(groups.map((group) => group.toString(16).toUpperCase()).join(':'))).toBe(written(text));
    }
  });
});

describe('a network', () => {
  test.each([
    ['10.0.0.0/8', '10.255.255.255', '11.0.0.0'],
    ['10.0.0.0/8', '10.0.0.0', '9.255.255.255'],
    ['192.0.2.128/25', '192.0.2.128', '192.0.2.127'],
    ['192.0.2.1', '192.0.2.1', '192.0.2.2'],
    ['2001:db8::/33', '2001:db8:7fff::', '2001:db8:8000::'],
    ['fc00::/7', 'fdff::1', 'fe00::1'],
    ['::/128', '::', '::1'],
  ])('%s has %s and not %s', (network, inside, outside) => {
    expect(contains(parseNetwork(network), parseAddress(inside)!)).toBe(true);
    expect(contains(parseNetwork(network), parseAddress(outside)!)).toBe(false);
  });

  test('of IPv4 has no IPv6 address, and the other way round', () => {
    expect(contains(parseNetwork('10.0.0.0/8'), parseAddress('a00::')!)).toBe(false);
    expect(contains(parseNetwork('a00::/8'), parseAddress('10.0.0.0')!)).toBe(false);
  });

  test.each([
    ['10.0.0.0/33', '"10.0.0.0/33" has no prefix of 0 to 32 bits'],
    ['10.0.0.0/', '"10.0.0.0/" has no prefix of 0 to 32 bits'],
    ['::/129', '"::/129" has no prefix of 0 to 128 bits'],
    ['10.0.0.1/8', '10.0.0.1/8 has bits behind its prefix; do you mean 10.0.0.0/8?'],
    ['10.0.0.0/8/8', '"10.0.0.0/8/8" is no address or network'],
    ['everybody', '"everybody" is no address or network'],
  ])('%s is refused: %s', (text, words) => {
    expect(() => parseNetwork(text)).toThrow(new RangeError(words));
  });

  test('of 0 bits begins with nothing, of all bits with the address', () => {
    const address = parseAddress('2001:db8:1:2:3:4:5:6')!;
    expect(formatAddress(networkOf(address, 0))).toBe('::');
    expect(formatAddress(networkOf(address, 56))).toBe('2001:db8:1::');
    expect(formatAddress(networkOf(address, 64))).toBe('2001:db8:1:2::');
    expect(networkOf(address, 128)).toEqual(address);
  });
});
