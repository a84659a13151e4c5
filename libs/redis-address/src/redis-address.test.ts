/** Every form of Redis' address, and what is none. */
import { expect, test } from '@jest/globals';
import { redisAddress } from './redis-address.ts';

const NONE = { username: undefined, password: undefined, primaryName: undefined, isTls: false, db: 0 };

test.each([
  ['redis://localhost', { ...NONE, kind: 'single', nodes: [{ host: 'localhost', port: 6_379 }] }],
  ['redis://10.0.0.1:7000/3', { ...NONE, kind: 'single', nodes: [{ host: '10.0.0.1', port: 7_000 }], db: 3 }],
  ['redis://h/', { ...NONE, kind: 'single', nodes: [{ host: 'h', port: 6_379 }] }],
  ['redis://[::1]:6380', { ...NONE, kind: 'single', nodes: [{ host: '::1', port: 6_380 }] }],
  ['rediss://:p%40ss@h:1', { ...NONE, kind: 'single', nodes: [{ host: 'h', port: 1 }], isTls: true, password: 'p@ss' }],
  [
    'redis://user:a:b@h:65535',
    { ...NONE, kind: 'single', nodes: [{ host: 'h', port: 65_535 }], username: 'user', password: 'a:b' },
  ],
  [
    'redis+sentinel://:s@a:1,b,c:3/jobs/2',
    {
      ...NONE,
      kind: 'sentinel',
      nodes: [
        { host: 'a', port: 1 },
        { host: 'b', port: 26_379 },
        { host: 'c', port: 3 },
      ],
      primaryName: 'jobs',
      password: 's',
      db: 2,
    },
  ],
  [
    'rediss+cluster://a,b:2',
    {
      ...NONE,
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 6_379 },
        { host: 'b', port: 2 },
      ],
      isTls: true,
    },
  ],
])('reads %s', (url, address) => {
  expect(redisAddress(url)).toEqual(address);
});

test.each([
  ['', 'none of redis://'],
  ['http://h', 'none of redis://'],
  ['redis://', 'none of redis://'],
  ['redis+proxy://h', 'none of redis://'],
  ['redis://a,b', 'there are 2 in a,b'],
  ['redis://h:0', '"h:0" is no host:port'],
  ['redis://h:65536', '"h:65536" is no host:port'],
  ['redis://h:x', '"h:x" is no host:port'],
  ['redis://h/x', '"x" is no database number'],
  ['redis://h/1/2', '"1/2" is no database number'],
  ['redis+sentinel://a,b', 'comes /name of the primary'],
  ['redis+cluster://a/1', 'no databases but 0'],
  ['redis://u:%zz@h', 'is not percent-encoded'],
])('refuses %s', (url, reason) => {
  expect(() => redisAddress(url)).toThrow(RangeError);
  expect(() => redisAddress(url)).toThrow(reason);
});

test('a refusal does not show the password', () => {
  for (const url of ['redis://u:geheim@h:x', 'redis://u:geheim%zz@h', 'redi://u:geheim@h']) {
    try {
      redisAddress(url);
    } catch (error) {
      expect(String(error)).not.toContain('geheim');
    }
  }
});
