import { describe, expect, test } from '@jest/globals';
import { type GuardOptions, OriginGuard } from './origin-guard.ts';

const guard = (options: Partial<GuardOptions> = {}) =>
  new OriginGuard({ listenHost: '127.0.0.1', allowedHosts: [], allowedOrigins: [], ...options });
const isRefused = (headers: Record<string, string>, options?: Partial<GuardOptions>) =>
  guard(options).refusal(headers)?.code === 'foreign_origin';

describe('on loopback', () => {
  test.each([
    'localhost',
    'localhost:7401',
    'LOCALHOST:7401',
    '127.0.0.1:7401',
    '127.9.9.9',
    '[::1]:7401',
    'kv.localhost:1',
  ])('the host %s is served', (host) => expect(isRefused({ host })).toBe(false));

  test.each([
    'evil.example',
    'evil.example:7401',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    'notlocalhost',
    '',
  ])('the host %j is refused', (host) => expect(isRefused({ host })).toBe(true));

  test('an allowed host is served, with any port', () => {
    const allowed = { allowedHosts: ['KV.example.com'] };
    expect(isRefused({ host: 'kv.example.com:80' }, allowed)).toBe(false);
    expect(isRefused({ host: 'other.example.com' }, allowed)).toBe(true);
  });

  test('a host that was served does not make the next one welcome', () => {
    const one = guard();
    expect(one.refusal({ host: 'localhost' })).toBeUndefined();
    expect(one.refusal({ host: 'evil.example' })).toBeDefined();
    expect(one.refusal({ host: 'localhost' })).toBeUndefined();
    expect(one.refusal({ host: 'evil.example' })).toBeDefined();
  });
});

describe('on all addresses', () => {
  const all = { listenHost: '0.0.0.0' };

  test('every host is served, unless some are named', () => {
    expect(isRefused({ host: 'kv.example.com' }, all)).toBe(false);
    expect(isRefused({ host: 'kv.example.com' }, { ...all, allowedHosts: ['other.example.com'] })).toBe(true);
  });

  test('probes that come by address are served in any case', () => {
    expect(isRefused({ host: '10.0.0.7:7401' }, { ...all, allowedHosts: ['kv.example.com'] })).toBe(false);
    expect(isRefused({ host: '[fd00::7]:7401' }, { ...all, allowedHosts: ['kv.example.com'] })).toBe(false);
  });
});

describe('origins', () => {
  const host = 'localhost:7401';

  test.each(['https://evil.example', 'null', 'http://localhost.evil.example', 'file://', 'nonsense', ''])(
    '%j is refused',
    (origin) => expect(isRefused({ host, origin })).toBe(true),
  );

  test.each(['http://localhost:7401', 'http://localhost:7400', 'http://127.0.0.1:3000'])(
    '%s, on the same machine, is served',
    (origin) => expect(isRefused({ host, origin })).toBe(false),
  );

  test('its own pages are served behind a proxy, whatever the port is called', () => {
    const all = { listenHost: '0.0.0.0' };
    expect(isRefused({ host: 'kv.example.com', origin: 'https://kv.example.com' }, all)).toBe(false);
    expect(isRefused({ host: 'kv.example.com:443', origin: 'https://kv.example.com' }, all)).toBe(false);
    expect(isRefused({ host: 'kv.example.com', origin: 'http://localhost:3000' }, all)).toBe(true);
    expect(isRefused({ host: 'kv.example.com', origin: 'https://kv.example.com:8443' }, all)).toBe(true);
  });

  test('an allowed one is served, also when the browser calls it cross-site', () => {
    const allowed = { allowedOrigins: ['https://app.example.com/'] };
    const headers = { host, origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' };
    expect(isRefused(headers, allowed)).toBe(false);
    expect(isRefused(headers)).toBe(true);
  });

  test('a cross-site request without an origin is refused, one of the same site and one of no browser are not', () => {
    expect(isRefused({ host, 'sec-fetch-site': 'cross-site' })).toBe(true);
    for (const site of ['same-origin', 'same-site', 'none'])
      expect(isRefused({ host, 'sec-fetch-site': site })).toBe(false);
    expect(isRefused({ host })).toBe(false);
  });
});
