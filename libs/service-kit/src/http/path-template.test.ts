import { describe, expect, test } from '@jest/globals';
import { bySpecificity, compilePath, withoutCaptures } from './path-template.ts';

const match = (template: string, path: string) => compilePath(template).pattern.exec(path)?.slice(1);

describe('path templates', () => {
  test.each([
    ['/v1/kv/{bucket}/{+key}', '/v1/kv/b/k', ['b', 'k']],
    ['/v1/kv/{bucket}/{+key}', '/v1/kv/b/a/b:c/', ['b', 'a/b:c/']],
    ['/v1/kv/{bucket}/{+key}', '/v1/kv/b/', ['b', '']],
    ['/v1/kv/{bucket}/{+key}', '/v1/kv/b', undefined],
    ['/v1/kv/{bucket}/{+key}', '/v1/kv//k', undefined],
    ['/v1/kv/{bucket}/{+key}:incr', '/v1/kv/b/k:incr', ['b', 'k']],
    ['/v1/kv/{bucket}/{+key}:incr', '/v1/kv/b/k:incr:incr', ['b', 'k:incr']],
    ['/v1/kv/{bucket}/{+key}:incr', '/v1/kv/b/k', undefined],
    ['/v1/kv/{bucket}:batch', '/v1/kv/b:batch', ['b']],
    ['/v1/kv/{bucket}:batch', '/v1/kv/b/c:batch', undefined],
    ['/openapi.json', '/openapi.json', []],
    ['/openapi.json', '/openapi-json', undefined],
  ])('%s takes from %s: %j', (template, path, captured) => {
    expect(match(template, path)).toEqual(captured);
  });

  test('what is more specific is asked first', () => {
    const sources = ['/v1/kv/{bucket}/{+key}', '/v1/kv/{bucket}/{+key}:incr', '/v1/kv/stats', '/v1/kv/{bucket}'];
    const order = sources.map(compilePath).sort(bySpecificity);
    expect(order.map(({ source }) => source)).toEqual([
      '/v1/kv/{bucket}/{+key}:incr',
      '/v1/kv/stats',
      '/v1/kv/{bucket}/{+key}',
      '/v1/kv/{bucket}',
    ]);
  });

  test('for Express they capture nothing, lest it decode bytes as UTF-8', () => {
    expect(withoutCaptures(compilePath('/v1/{a}/{+b}:c')).exec('/v1/x/%FF:c')).toHaveLength(1);
  });

  test('two parameters that take the rest cannot be made', () => {
    expect(() => compilePath('/{+a}/{+b}')).toThrow('two parameters');
  });
});
