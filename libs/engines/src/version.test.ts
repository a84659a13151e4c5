import { expect, test } from '@jest/globals';
import { NATS_RECIPE } from './nats.ts';
import { REDIS_RECIPE } from './redis.ts';
import { compareVersions } from './version.ts';

test('versions compare by number, not by letter', () => {
  expect(compareVersions('7.10.0', '7.9.9')).toBeGreaterThan(0);
  expect(compareVersions('2.14', '2.14.0')).toBe(0);
  expect(compareVersions('2.9.25', '2.14.0')).toBeLessThan(0);
});

test.each([
  ['nats-server: v2.13.9', 'version 2.13.9 is older than 2.14.0'],
  ['nats-server: v2.14.0', undefined],
  ['nats-server: v2.15.2', undefined],
  ['gnatsd 1.0', 'this is not nats-server'],
])('nats-server: %s', (output, objection) => {
  expect(NATS_RECIPE.objection(output)).toBe(objection);
});

test.each([
  ['Redis server v=6.0.16 sha=00000000:0', 'version 6.0.16 is older than 6.2.0'],
  ['Redis server v=6.2.0 sha=00000000:0', undefined],
  ['Valkey server v=7.1.9 sha=00000000:0', 'version 7.1.9 is older than 7.2.0'],
  ['Valkey server v=7.2.0 sha=00000000:0', undefined],
  ['PONG', 'this is neither redis-server nor valkey-server'],
])('Redis or Valkey: %s', (output, objection) => {
  expect(REDIS_RECIPE.objection(output)).toBe(objection);
});
