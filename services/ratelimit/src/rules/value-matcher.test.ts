import { expect, test } from '@jest/globals';
import { valueMatcher } from './value-matcher.ts';

test('an empty list holds nothing', () => {
  const matches = valueMatcher([]);
  expect([matches(''), matches('*'), matches('127.0.0.1')]).toEqual([false, false, false]);
});

test.each<[entry: string, inside: string[], outside: string[]]>([
  ['alice', ['alice'], ['alic', 'alice2', 'Alice', '']],
  ['team-*', ['team-', 'team-a'], ['team', 'a-team-b']],
  ['*@example.com', ['a@example.com', '@example.com'], ['a@example.com.evil']],
  [
    '10.0.0.0/8',
    ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3'],
    ['9.255.255.255', '11.0.0.0', '10.0.0.0/8', '10.0.0'],
  ],
  ['192.168.1.1/32', ['192.168.1.1'], ['192.168.1.0', '192.168.1.2']],
  ['0.0.0.0/0', ['1.2.3.4'], ['x', '']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '1']],
  ['2001:db8::/32', ['2001:db8::', '2001:DB8:ffff::1'], ['2001:db9::', '2001:db7:ffff::']],
  ['a/8', ['a/8'], ['a', 'a/9']],
])('%s', (entry, inside, outside) => {
  const matches = valueMatcher([entry, 'other']);
  expect(inside.filter((value) => !matches(value))).toEqual([]);
  expect(outside.filter((value) => matches(value))).toEqual([]);
});

test('values that mean themselves are no patterns and no ranges', () => {
  const matches = valueMatcher([], ['a*', '10.0.0.0/8']);
  expect([matches('a*'), matches('ab'), matches('10.0.0.0/8'), matches('10.0.0.1')]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});
