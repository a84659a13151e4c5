import { describe, expect, test } from '@jest/globals';
import { type Access, Grant, parseScope, type Scope } from './scope.ts';

const may = (scopes: string, access: Access, path: string, service = 'kv') =>
  new Grant(
    'ann',
    scopes.split(',').map((text) => parseScope(text) as Scope),
    service,
  ).allows(access, path);

describe('a scope', () => {
  test.each(['*', 'kv:*', 'kv:read', 'kv:write', 'kv:read:/v1/kv/orders/', 'kv:*:/', 'my-2nd:read:/a%2Fb:txn'])(
    '%s is one',
    (text) => expect(parseScope(text)).toBeDefined(),
  );

  test.each([
    '',
    '**',
    'kv',
    'kv:',
    ':read',
    '*:read',
    'kv:raed',
    'kv:READ',
    'KV:read',
    'kv:read:',
    'kv:read:v1/kv/',
    'kv:read:/a b',
    'kv:read:/a%2',
    'kv:read:/a%zz',
    'kv:read:/a?b',
    'kv:read:/a#b',
    'kv:read:/é',
    'kv:read:/a\n',
    ' kv:read',
    '*:/v1',
  ])('%j is none', (text) => expect(parseScope(text)).toBeUndefined());
});

describe('a grant', () => {
  test.each([
    ['*', true, true],
    ['kv:*', true, true],
    ['kv:read', true, false],
    ['kv:write', false, true],
    ['kv:read,kv:write', true, true],
    ['queue:*', false, false],
    ['queue:*,kv:read', true, false],
  ])('of %s reads: %j, writes: %j', (scopes, reads, writes) => {
    expect([may(scopes, 'read', '/v1/x'), may(scopes, 'write', '/v1/x')]).toEqual([reads, writes]);
  });

  test('of no scope of this service allows nothing', () => {
    expect(may('kv:*', 'read', '/', 'queue')).toBe(false);
    expect(new Grant('ann', [], 'kv').allows('read', '/')).toBe(false);
  });

  test.each([
    '/v1/kv/orders/7',
    '/v1/kv/orders/',
    '/v1/kv/orders/a/b:incr',
    '/v1/kv/orders//',
    '/v1/kv/orders/%2e%2e/x',
  ])('below a path with a slash at its end allows %s', (path) =>
    expect(may('kv:read:/v1/kv/orders/', 'read', path)).toBe(true),
  );

  test.each([
    '/v1/kv/orders',
    '/v1/kv/orders:txn',
    '/v1/kv/orders2/7',
    '/v1/kv/Orders/7',
    '/v1/kv/%6Frders/7',
    '/v1/kv/orders%2F7',
    '/v1/kv/other/../orders/7',
    '/v1/kv//orders/7',
    '//v1/kv/orders/7',
    'http://localhost/v1/kv/orders/7',
    '',
  ])('… and not %s', (path) => expect(may('kv:read:/v1/kv/orders/', 'read', path)).toBe(false));

  test.each(['/v1/kv/orders', '/v1/kv/orders/7', '/v1/kv/orders:txn'])('at a path without one allows %s', (path) =>
    expect(may('kv:read:/v1/kv/orders', 'read', path)).toBe(true),
  );

  test.each(['/v1/kv/orders2', '/v1/kv/orders-old/7', '/v1/kv/order', '/v1/kv/orders%2F7', '/v1/kv/orders%3Atxn'])(
    '… and not its neighbour %s',
    (path) => expect(may('kv:read:/v1/kv/orders', 'read', path)).toBe(false),
  );

  test('keeps each path to its own access', () => {
    const scopes = 'kv:read:/v1/a/,kv:write:/v1/b/';
    expect([may(scopes, 'read', '/v1/a/x'), may(scopes, 'write', '/v1/b/x')]).toEqual([true, true]);
    expect([may(scopes, 'write', '/v1/a/x'), may(scopes, 'read', '/v1/b/x')]).toEqual([false, false]);
  });
});
