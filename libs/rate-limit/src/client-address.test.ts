import { describe, expect, test } from '@jest/globals';
import { seededRandom } from '@plinth/testkit';
import { type ClientAddressOptions, clientAddress } from './client-address.ts';

const addressFrom = (
  options: ClientAddressOptions,
  peer: string | undefined,
  headers: Partial<Record<'x-forwarded-for' | 'forwarded', string>> = {},
) => clientAddress(options)({ peer, header: (name) => headers[name] });

/** The address by X-Forwarded-For behind a proxy on 10.0.0.1. */
const behindProxy = (forwardedFor: string, options: ClientAddressOptions = {}) =>
  addressFrom({ trust: ['10.0.0.0/8'], ...options }, '10.0.0.1', { 'x-forwarded-for': forwardedFor });

describe('without a trusted proxy', () => {
  test('the peer is the caller, whatever the headers say', () => {
    const headers = { 'x-forwarded-for': '1.1.1.1', forwarded: 'for=2.2.2.2' };
    expect(addressFrom({}, '192.0.2.7', headers)).toBe('192.0.2.7');
    expect(addressFrom({ trust: [] }, '::ffff:192.0.2.7', headers)).toBe('192.0.2.7');
    expect(addressFrom({ trust: 0 }, '192.0.2.7', headers)).toBe('192.0.2.7');
    expect(addressFrom({ trust: ['10.0.0.0/8'] }, '11.0.0.1', headers)).toBe('11.0.0.1');
  });

  test('one who has gone, or came over a socket of this machine, is unknown', () => {
    expect(addressFrom({}, undefined)).toBe('unknown');
    expect(addressFrom({}, '')).toBe('unknown');
    expect(addressFrom({ trust: ['10.0.0.0/8'] }, undefined, { 'x-forwarded-for': '1.1.1.1' })).toBe('unknown');
  });
});

describe('IPv6', () => {
  test.each([
    [undefined, '2001:db8:1:200::'],
    [56, '2001:db8:1:200::'],
    [64, '2001:db8:1:2ff::'],
    [48, '2001:db8:1::'],
    [32, '2001:db8::'],
    [128, '2001:db8:1:2ff:a:b:c:d'],
  ])('by %s bits is one caller', (ipv6Prefix, text) => {
    expect(addressFrom({ ipv6Prefix }, '2001:db8:1:2ff:a:b:c:d')).toBe(text);
  });

  test('of one household is one caller, and the next one is another', () => {
    const from = (peer: string) => addressFrom({}, peer);
    expect(from('2001:db8:1:200::1')).toBe(from('2001:db8:1:2ff:ffff:ffff:ffff:ffff'));
    expect(from('2001:db8:1:200::1')).not.toBe(from('2001:db8:1:300::1'));
  });

  test('loses its zone', () => {
    expect(addressFrom({ ipv6Prefix: 128 }, 'fe80::1%eth0')).toBe('fe80::1');
  });
});

describe('X-Forwarded-For behind trusted networks', () => {
  test.each([
    ['the last entry is what our proxy saw', '203.0.113.9', '203.0.113.9'],
    ['what is left of it was written by the caller', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['trusted hops are passed', '203.0.113.9, 10.0.0.2, 10.0.0.3', '203.0.113.9'],
    ['a trusted address that the caller wrote is not reached', '10.0.0.9, 203.0.113.9', '203.0.113.9'],
    ['when all are trusted it is the first', '10.9.9.9, 10.0.0.2', '10.9.9.9'],
    ['a port does not count', '203.0.113.9:4711', '203.0.113.9'],
    ['brackets and a port do not count', '[2001:db8::1]:4711', '2001:db8::'],
    ['IPv6 goes without brackets too', '2001:db8::1', '2001:db8::'],
    ['IPv4 in IPv6 is IPv4', '::ffff:203.0.113.9', '203.0.113.9'],
    ['a trusted IPv4 in IPv6 is trusted', '203.0.113.9, ::ffff:10.0.0.2', '203.0.113.9'],
    ['space does not count', '  1.1.1.1 ,\t203.0.113.9  ', '203.0.113.9'],
    ['garbage of the caller is not looked at', 'x, "; DROP, 203.0.113.9', '203.0.113.9'],
    ['garbage of a proxy gives the peer', '203.0.113.9, unknown', '10.0.0.1'],
    ['an empty entry gives the peer', '203.0.113.9,', '10.0.0.1'],
    ['an empty header gives the peer', '', '10.0.0.1'],
    ['only commas give the peer', ',,,,', '10.0.0.1'],
    ['a name gives the peer', 'example.com', '10.0.0.1'],
    ['a network gives the peer', '203.0.113.0/24', '10.0.0.1'],
  ])('%s', (_, header, address) => {
    expect(behindProxy(header)).toBe(address);
  });

  test('no header gives the peer', () => {
    expect(addressFrom({ trust: ['10.0.0.0/8'] }, '10.0.0.1')).toBe('10.0.0.1');
  });

  test('Forwarded is not looked at unless it is the header of the proxies, and then the other is not', () => {
    const headers = { 'x-forwarded-for': '1.1.1.1', forwarded: 'for=2.2.2.2' };
    expect(addressFrom({ trust: ['10.0.0.0/8'] }, '10.0.0.1', headers)).toBe('1.1.1.1');
    expect(addressFrom({ trust: ['10.0.0.0/8'], header: 'forwarded' }, '10.0.0.1', headers)).toBe('2.2.2.2');
    const only = { 'x-forwarded-for': '1.1.1.1' };
    expect(addressFrom({ trust: ['10.0.0.0/8'], header: 'forwarded' }, '10.0.0.1', only)).toBe('10.0.0.1');
  });

  test('more trusted hops than any way has give the peer, in no time', () => {
    const header = Array.from({ length: 100_000 }, () => '10.0.0.2').join();
    const startedMs = performance.now();
    expect(behindProxy(header)).toBe('10.0.0.1');
    expect(performance.now() - startedMs).toBeLessThan(50);
  });

  test('names stand for their networks', () => {
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    for (const peer of ['127.0.0.1', '::1', '::ffff:127.0.0.9']) {
      expect(addressFrom({ trust: ['loopback'] }, peer, headers)).toBe('203.0.113.9');
    }
    for (const peer of ['10.1.1.1', '172.31.0.1', '192.168.9.9', 'fd00::1']) {
      expect(addressFrom({ trust: ['uniquelocal'] }, peer, headers)).toBe('203.0.113.9');
    }
    expect(addressFrom({ trust: ['uniquelocal'] }, '172.32.0.1', headers)).toBe('172.32.0.1');
    expect(addressFrom({ trust: ['unix'] }, undefined, headers)).toBe('203.0.113.9');
    expect(addressFrom({ trust: ['unix'] }, '10.0.0.1', headers)).toBe('10.0.0.1');
  });
});

describe('X-Forwarded-For behind a number of hops', () => {
  test.each([
    [1, '1.1.1.1, 203.0.113.9', '203.0.113.9'],
    [2, '1.1.1.1, 203.0.113.9, 10.0.0.2', '203.0.113.9'],
    [2, '203.0.113.9, 10.0.0.2', '203.0.113.9'],
    [2, '203.0.113.9', '10.0.0.1'],
    [3, '203.0.113.9, 10.0.0.2', '10.0.0.1'],
    [1, 'garbage', '10.0.0.1'],
    [1, '', '10.0.0.1'],
  ])('%d: %j is %s', (trust, header, address) => {
    expect(behindProxy(header, { trust })).toBe(address);
  });
});

describe('Forwarded', () => {
  const forwarded = (header: string, trust: ClientAddressOptions['trust'] = ['10.0.0.0/8']) =>
    addressFrom({ trust, header: 'forwarded' }, '10.0.0.1', { forwarded: header });

  test.each([
    ['for=203.0.113.9', '203.0.113.9'],
    ['For="203.0.113.9:47011"', '203.0.113.9'],
    ['for="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::'],
    ['for=203.0.113.9;proto=http;by=10.0.0.1', '203.0.113.9'],
    ['proto=http; by=10.0.0.1; for=203.0.113.9', '203.0.113.9'],
    ['for=1.1.1.1, for=203.0.113.9', '203.0.113.9'],
    ['for=203.0.113.9, for=10.0.0.2', '203.0.113.9'],
    ['for="a, for=9.9.9.9", for=203.0.113.9', '203.0.113.9'],
    [String.raw`for="20\3.0.113.9"`, '203.0.113.9'],
    ['for=unknown', '10.0.0.1'],
    ['for=_hidden', '10.0.0.1'],
    ['for=2001:db8::1', '10.0.0.1'],
    ['proto=http', '10.0.0.1'],
    ['for=1.1.1.1;for=203.0.113.9', '10.0.0.1'],
    ['for="1.1.1.1', '10.0.0.1'],
    ['for=1.1.1.1,', '10.0.0.1'],
    ['for = 1.1.1.1', '10.0.0.1'],
    ['for="[1.1.1.1]"', '10.0.0.1'],
    ['', '10.0.0.1'],
  ])('%s is %s', (header, address) => {
    expect(forwarded(header)).toBe(address);
  });

  test('a quote that the caller left open cannot hide what the proxy wrote', () => {
    // All after the quote is text to a parser that goes from the left, so nothing of it may be believed.
    for (const ours of [
      'for=203.0.113.9',
      'for="[2001:db8::9]"',
      'for=203.0.113.9;by="_us"',
      'by="_us";for=203.0.113.9',
    ]) {
      for (const theirs of [
        'for="',
        'x="',
        'for=6.6.6.6;x="',
        'for="6.6.6.6',
        String.raw`for=6.6.6.6;x="\\`,
        String.raw`x="\"`,
      ]) {
        expect(['203.0.113.9', '2001:db8::', '10.0.0.1']).toContain(forwarded(`${theirs}, ${ours}`));
      }
    }
  });
});

describe('spoofing', () => {
  const PARTS = [
    '6.6.6.6',
    '10.6.6.6',
    '::1',
    'unknown',
    '',
    ' ',
    ',',
    ';',
    '"',
    '=',
    'for=',
    'for="',
    '[',
    ']',
    ':80',
    '\\',
    '::ffff:6.6.6.6',
    'x',
  ];

  test('nothing that a caller writes moves him out of the address that our proxies saw', () => {
    const random = seededRandom();
    for (let round = 0; round < 20_000; round++) {
      const spoof = Array.from({ length: random.int(8) }, () => random.pick(PARTS)).join(random.pick(['', ',', ', ']));
      const hops = random.int(3);
      const trail = ['203.0.113.9', ...Array.from({ length: hops }, (_, at) => `10.0.0.${at + 2}`)];
      const join = (entries: string[]) => (spoof === '' ? entries : [spoof, ...entries]).join(', ');
      expect(behindProxy(join(trail))).toBe('203.0.113.9');
      expect(behindProxy(join(trail), { trust: hops + 1 })).toBe('203.0.113.9');
      const forwarded = join(trail.map((address) => `for=${address}`));
      // What cannot be read whole is not believed at all; it is never another's address.
      expect(['203.0.113.9', '10.0.0.1']).toContain(
        addressFrom({ trust: ['10.0.0.0/8'], header: 'forwarded' }, '10.0.0.1', { forwarded }),
      );
      const stranger = addressFrom({ trust: ['10.0.0.0/8'] }, '203.0.113.9', { 'x-forwarded-for': join(trail) });
      expect(stranger).toBe('203.0.113.9');
    }
  });
});

describe('options that trust everybody or mean nothing are refused', () => {
  const WIDE = 'who trusts strangers lets every caller choose the address that he is limited by';
  test.each<[unknown, string]>([
    [{ trust: ['0.0.0.0/0'] }, `trust has 0.0.0.0/0, which is wider than /8: ${WIDE}`],
    [{ trust: ['0.0.0.0/1', '128.0.0.0/1'] }, `trust has 0.0.0.0/1, which is wider than /8: ${WIDE}`],
    [{ trust: ['::/0'] }, `trust has ::/0, which is wider than /7: ${WIDE}`],
    [
      { trust: true },
      'trust is true; it is a list of networks, or how many proxies are in front; everybody cannot be trusted',
    ],
    [{ trust: ['proxy.example'] }, '"proxy.example" is no address or network'],
    [{ trust: [7] }, 'trust has 7; it is a list of networks'],
    [{ trust: -1 }, 'trust is -1 hops; it is a whole number from 0 to 32'],
    [{ trust: 33 }, 'trust is 33 hops; it is a whole number from 0 to 32'],
    [{ trust: 1.5 }, 'trust is 1.5 hops; it is a whole number from 0 to 32'],
    [{ header: 'x-real-ip' }, 'header is "x-real-ip"; it is x-forwarded-for or forwarded'],
    [{ ipv6Prefix: 31 }, 'ipv6Prefix is 31; it is a whole number from 32 to 128'],
    [{ ipv6Prefix: 129 }, 'ipv6Prefix is 129; it is a whole number from 32 to 128'],
  ])('%j', (options, words) => {
    expect(() => clientAddress(options as ClientAddressOptions)).toThrow(new RangeError(words));
  });
});
