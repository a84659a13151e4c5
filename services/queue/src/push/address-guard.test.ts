import { lookup } from 'node:dns';
import { describe, expect, test } from '@jest/globals';
import { addressFault, ForbiddenAddress, forbiddenRange, guardedLookup, readHttpUrl } from './address-guard.ts';

describe('an address', () => {
  test.each([
    ['0.0.0.0'],
    ['0.1.2.3'],
    ['10.0.0.1'],
    ['10.255.255.255'],
    ['100.64.0.0'],
    ['100.127.255.255'],
    ['127.0.0.1'],
    ['127.255.255.255'],
    ['169.254.0.1'],
    ['169.254.169.254'],
    ['172.16.0.0'],
    ['172.31.255.255'],
    ['192.0.0.1'],
    ['192.0.0.192'],
    ['192.0.2.1'],
    ['192.88.99.1'],
    ['192.168.0.0'],
    ['192.168.255.255'],
    ['198.18.0.1'],
    ['198.19.255.255'],
    ['198.51.100.1'],
    ['203.0.113.1'],
    ['224.0.0.1'],
    ['239.255.255.255'],
    ['240.0.0.1'],
    ['255.255.255.255'],
    ['168.63.129.16'],
    ['::'],
    ['::1'],
    ['::127.0.0.1'],
    ['::8.8.8.8'],
    ['::ffff:127.0.0.1'],
    ['::ffff:7f00:1'],
    ['::ffff:10.0.0.1'],
    ['::ffff:169.254.169.254'],
    ['0:0:0:0:0:ffff:a9fe:a9fe'],
    ['64:ff9b::10.0.0.1'],
    ['64:ff9b::a9fe:a9fe'],
    ['64:ff9b:1::1'],
    ['2002:7f00:1::'],
    ['2002:0a00:0001::1'],
    ['fc00::1'],
    ['fdff:ffff::1'],
    ['fd00:ec2::254'],
    ['fe80::1'],
    ['fe80::1%eth0'],
    ['fec0::1'],
    ['ff02::1'],
    ['100::1'],
    ['2001:db8::1'],
    ['2001::1'],
    ['example.org'],
    [''],
  ])('%s is not called', (address) => {
    expect(forbiddenRange(address)).toEqual(expect.any(String));
  });

  // Both neighbours of each range that is shut.
  test.each([
    ['1.0.0.0'],
    ['9.255.255.255'],
    ['11.0.0.0'],
    ['100.63.255.255'],
    ['100.128.0.0'],
    ['126.255.255.255'],
    ['128.0.0.0'],
    ['169.253.255.255'],
    ['169.255.0.0'],
    ['172.15.255.255'],
    ['172.32.0.0'],
    ['192.167.255.255'],
    ['192.169.0.0'],
    ['198.17.255.255'],
    ['198.20.0.0'],
    ['223.255.255.255'],
    ['8.8.8.8'],
    ['168.63.129.17'],
    ['2606:4700:4700::1111'],
    ['2a00:1450:4001:82b::200e'],
    ['::ffff:8.8.8.8'],
    ['64:ff9b::8.8.8.8'],
    ['2002:0808:0808::1'],
  ])('%s is public', (address) => {
    expect(forbiddenRange(address)).toBeUndefined();
  });
});

describe('a URL', () => {
  test.each([
    ['ftp://example.org/', 'only http and https, not ftp'],
    ['file:///etc/passwd', 'only http and https, not file'],
    ['javascript:alert(1)', 'only http and https, not javascript'],
    ['//example.org/', 'this is not an absolute URL'],
    ['example.org', 'this is not an absolute URL'],
    ['http://', 'this is not an absolute URL'],
    ['https://user@example.org/', 'no credentials in the URL; use headers'],
    ['https://:word@example.org/', 'no credentials in the URL; use headers'],
    ['https://example.org/#part', 'no fragment in the URL'],
    ['http://example.org:25/', 'port 25 is not one of HTTP'],
    ['http://example.org:6379/', 'port 6379 is not one of HTTP'],
    ['http://example.org:0/', 'port 0 is not one of HTTP'],
    ['http://example.org:65536/', 'this is not an absolute URL'],
    [`http://example.org/${'a'.repeat(2_030)}`, 'the URL has 2049 characters; the most is 2048'],
  ])('%j: %s', (text, fault) => {
    expect(readHttpUrl(text)).toEqual({ fault });
  });

  test.each([
    ['http://127.0.0.1/'],
    ['http://0x7f.1/'],
    ['http://2130706433/'],
    ['http://017700000001/'],
    ['http://127.1:8080/'],
    ['http://[::1]/'],
    ['http://[::ffff:127.0.0.1]/'],
    ['http://[fd00::1]/'],
    ['http://169.254.169.254/latest/meta-data/'],
    ['http://localhost/'],
    ['http://LOCALHOST./'],
    ['http://api.localhost:8080/'],
    ['http://printer.local/'],
    ['http://metadata.google.internal/'],
    ['http://①②⑦.0.0.1/'],
  ])('%s in whatever writing leads inside, and is refused unless inside is allowed', (text) => {
    const read = readHttpUrl(text);
    if ('fault' in read) throw new Error(read.fault);
    expect(addressFault(read.host, false)).toEqual(expect.any(String));
    expect(addressFault(read.host, true)).toBeUndefined();
  });

  test.each([
    ['https://example.org/hook?x=1'],
    ['http://example.org:8080/'],
    ['https://1.1.1.1/'],
    ['http://[2606:4700::1]:81/'],
  ])('%s may be called', (text) => {
    const read = readHttpUrl(text);
    if ('fault' in read) throw new Error(read.fault);
    expect(addressFault(read.host, false)).toBeUndefined();
  });
});

describe('a lookup', () => {
  const PUBLIC = { address: '93.184.216.34', family: 4 };
  const SIXTH = { address: '2606:2800:220:1::1', family: 6 };
  const INNER = { address: '10.0.0.7', family: 4 };

  function ask(
    options: { all?: boolean; family?: number },
    found: { address: string; family: number }[],
    allow = false,
  ) {
    return new Promise((resolve) => {
      const guarded = guardedLookup(allow, (_, answer) => answer(null, found));
      guarded('hook.example', options, (error, address, family) => resolve(error ?? [address, family]));
    });
  }

  test('answers all addresses when each is public', async () => {
    expect(await ask({ all: true }, [PUBLIC, SIXTH])).toEqual([[PUBLIC, SIXTH], undefined]);
  });

  test('answers the first of the family that is asked for', async () => {
    expect(await ask({ family: 6 }, [PUBLIC, SIXTH])).toEqual([SIXTH.address, 6]);
    expect(await ask({}, [PUBLIC, SIXTH])).toEqual([PUBLIC.address, 4]);
  });

  test.each([
    ['first', [INNER, PUBLIC]],
    ['last', [PUBLIC, SIXTH, INNER]],
    ['of the family that is not asked for', [SIXTH, INNER]],
  ])('fails when one address is inside: the %s', async (_, found) => {
    const error = await ask({ all: true, family: 6 }, found);
    expect(error).toBeInstanceOf(ForbiddenAddress);
    expect((error as Error).message).toBe('hook.example means 10.0.0.7, which is not a public address (private)');
  });

  test('lets inner addresses pass when they are allowed', async () => {
    expect(await ask({}, [INNER], true)).toEqual([INNER.address, 4]);
  });

  test('of a name without an address fails', async () => {
    expect(await ask({}, [])).toEqual(new Error('hook.example has no address'));
  });

  test('by the system finds that localhost is inside', async () => {
    await new Promise<void>((resolve) => lookup('localhost', () => resolve()));
    const error = await new Promise((resolve) => guardedLookup(false)('localhost', { all: true }, resolve));
    expect(error).toBeInstanceOf(ForbiddenAddress);
  });
});
