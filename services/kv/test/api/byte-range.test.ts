import { beforeAll, describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const PATH = '/v1/kv/b/letters';
let etag = '';

beforeAll(async () => {
  etag = `"${await kv.wrote(PATH, 'abcdefghij', { 'content-type': 'text/plain' })}"`;
  await kv.wrote('/v1/kv/b/empty', '');
});

const part = async (range: string, headers: Record<string, string> = {}) => kv.get(PATH, { range, ...headers });

describe('ranges of bytes', () => {
  test.each([
    ['bytes=0-0', 'a', 'bytes 0-0/10'],
    ['bytes=2-4', 'cde', 'bytes 2-4/10'],
    ['bytes=7-', 'hij', 'bytes 7-9/10'],
    ['bytes=-3', 'hij', 'bytes 7-9/10'],
    ['bytes=9-9', 'j', 'bytes 9-9/10'],
    ['bytes=5-99', 'fghij', 'bytes 5-9/10'],
    ['bytes=-99', 'abcdefghij', 'bytes 0-9/10'],
    ['BYTES=0-1', 'ab', 'bytes 0-1/10'],
  ])('%s gives %s with 206 and %s', async (range, text, contentRange) => {
    const answer = await part(range);
    expect([answer.status, answer.text]).toEqual([206, text]);
    expect(answer.headers.get('content-range')).toBe(contentRange);
    expect(answer.headers.get('content-length')).toBe(String(text.length));
    expect([answer.headers.get('etag'), answer.headers.get('content-type')]).toEqual([etag, 'text/plain']);
  });

  test.each(['bytes=10-', 'bytes=10-12', 'bytes=99-', 'bytes=-0'])(
    '%s lies outside: 416 with the size',
    async (range) => {
      const answer = await part(range);
      expect(problemIn(answer, 416, 'range_not_satisfiable').sizeBytes).toBe(10);
      expect(answer.headers.get('content-range')).toBe('bytes */10');
    },
  );

  test('no range lies inside of an empty value', async () => {
    problemIn(await kv.get('/v1/kv/b/empty', { range: 'bytes=0-' }), 416, 'range_not_satisfiable');
    problemIn(await kv.get('/v1/kv/b/empty', { range: 'bytes=-1' }), 416, 'range_not_satisfiable');
  });

  test.each([
    'bytes=',
    'bytes=-',
    'bytes=5-2',
    'bytes=a-b',
    'bytes',
    'bytes=1-2-3',
    'bytes=0x1-2',
    'bytes=9999999999999999-',
  ])('%s is malformed: 400', async (range) => {
    expect(problemIn(await part(range), 400, 'invalid_request').issues[0].path).toBe('/headers/range');
  });

  test.each(['bytes=0-1,3-4', 'items=0-1'])(
    '%s, several parts or another unit, is answered with the whole',
    async (range) => {
      const answer = await part(range);
      expect([answer.status, answer.text, answer.headers.get('content-range')]).toEqual([200, 'abcdefghij', null]);
    },
  );

  test('If-Range gives the part when the ETag is this one, and the whole when it is not', async () => {
    expect((await part('bytes=0-1', { 'if-range': etag })).text).toBe('ab');
    for (const other of ['"0"', `W/${etag}`, 'Mon, 01 Jan 2029 00:00:00 GMT', 'nonsense']) {
      expect((await part('bytes=0-1', { 'if-range': other })).text).toBe('abcdefghij');
    }
    // Then even a range that lies outside is none.
    expect((await part('bytes=99-', { 'if-range': '"0"' })).status).toBe(200);
  });

  test('head does not know ranges: it tells of the whole', async () => {
    const head = await kv.head(PATH, { range: 'bytes=0-1' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '10']);
  });

  test('preconditions come before ranges', async () => {
    expect((await part('bytes=0-1', { 'if-none-match': etag })).status).toBe(304);
    problemIn(await part('bytes=99-', { 'if-match': '"0"' }), 412, 'precondition_failed');
  });
});
