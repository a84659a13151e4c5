import { describe, expect, test } from '@jest/globals';
import { Problem } from '@plinth/problem';
import { byteStringOf, type Key, keyMembers } from './byte-string.ts';
import { kvEndpoints } from './kv/endpoints.ts';
import { requestTarget } from './request-target.ts';

const target = (key: Key) =>
  requestTarget({ endpoint: kvEndpoints.incr, params: { bucket: 'demo', key: byteStringOf(key) }, query: {} });

describe('what is asked for', () => {
  test.each([
    ['hello', '/v1/kv/demo/hello:incr'],
    ['a/b c', '/v1/kv/demo/a/b%20c:incr'],
    ['a:incr', '/v1/kv/demo/a%3Aincr:incr'],
    ['50%?#', '/v1/kv/demo/50%25%3F%23:incr'],
    ['ä🧀', '/v1/kv/demo/%C3%A4%F0%9F%A7%80:incr'],
    ["!'()*", '/v1/kv/demo/%21%27%28%29%2A:incr'],
  ])('the key %s becomes %s', (key, path) => {
    expect(target(key)).toBe(path);
  });

  test('every byte survives the way through a URL', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const path = target(bytes).slice('/v1/kv/demo/'.length, -':incr'.length);
    const decoded = path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    expect(Buffer.from(decoded, 'latin1')).toEqual(Buffer.from(bytes));
  });

  test('text and its UTF-8 bytes are the same key', () => {
    expect(target(Buffer.from('ä/🧀'))).toBe(target('ä/🧀'));
  });

  test('a bytes view stands for its own bytes, not for those of its buffer', () => {
    expect(target(Buffer.from('xhellox').subarray(1, 6))).toBe('/v1/kv/demo/hello:incr');
  });

  test('half a surrogate pair is refused: it would become another key', () => {
    expect(() => target('a\ud800')).toThrow(Problem);
    expect(() => keyMembers('a\ud800')).toThrow(Problem);
  });

  test('a parameter without {+…} keeps no slash', () => {
    const { getBucket } = kvEndpoints;
    expect(requestTarget({ endpoint: getBucket, params: { bucket: 'a/b' }, query: {} })).toBe('/v1/buckets/a%2Fb');
    expect(() => requestTarget({ endpoint: getBucket, params: {}, query: {} })).toThrow(TypeError);
    expect(() => requestTarget({ endpoint: getBucket, params: { bucket: '€' }, query: {} })).toThrow(TypeError);
  });

  test('query members that are undefined are left out, others are encoded', () => {
    const query = { prefix: 'a&b=ä', limit: 3, values: false, cursor: undefined };
    expect(requestTarget({ endpoint: kvEndpoints.list, params: { bucket: 'demo' }, query })).toBe(
      '/v1/kv/demo?prefix=a%26b%3D%C3%A4&limit=3&values=false',
    );
  });
});
