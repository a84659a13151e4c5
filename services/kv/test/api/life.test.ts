// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { type Answer, problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now });

const end = ({ headers }: Answer): number | null => {
  const text = headers.get('kv-expires-at');
  return text === null ? null : Date.parse(text);
};
const inMs = (ms: number): string => new Date(clock.now() + ms).toISOString();

describe('the life of entries', () => {
  test('an entry is there until the millisecond before its end and gone at it', async () => {
    const put = await kv.put('/v1/kv/b/k', 'v', { 'kv-ttl': '30s' });
    expect(end(put)).toBe(clock.now() + 30_000);
    clock.advance(29_999);
    expect((await kv.get('/v1/kv/b/k')).text).toBe('v');
    clock.advance(1);
    problemIn(await kv.get('/v1/kv/b/k'), 404, 'key_not_found');
    expect(await kv.keys('b')).toEqual([]);
    expect((await kv.get('/v1/kv/b?count=true')).json.count).toBe(0);
  });

  test.each([
    ['100ms', 100],
    ['1s', 1_000],
    ['2m', 120_000],
    ['3h', 10_800_000],
    ['7d', 604_800_000],
    ['36500d', 36_500 * 86_400_000],
  ])('KV-TTL: %s ends after %d ms', async (ttl, ms) => {
    expect(end(await kv.put('/v1/kv/ttl/k', 'v', { 'kv-ttl': ttl }))).toBe(clock.now() + ms);
  });

  test('KV-Expires-At names the end itself, in any zone', async () => {
    const utc = new Date(clock.now() + 3_600_000);
    expect(end(await kv.put('/v1/kv/at/k', 'v', { 'kv-expires-at': utc.toISOString() }))).toBe(utc.getTime());
    const elsewhere = `${new Date(utc.getTime() + 7_200_000).toISOString().slice(0, -1)}+02:00`;
    expect(end(await kv.put('/v1/kv/at/k', 'v', { 'kv-expires-at': elsewhere }))).toBe(utc.getTime());
  });

  test('a put without a life ends the one that was there; a patch and an incr keep it', async () => {
    await kv.put('/v1/kv/keep/k', '1', { 'kv-ttl': '1h' });
    const before = end(await kv.get('/v1/kv/keep/k'));
    await kv.post('/v1/kv/keep/k:incr', { by: 1 });
    expect(end(await kv.get('/v1/kv/keep/k'))).toBe(before);
    await kv.put('/v1/kv/keep/json', '{}', { 'kv-ttl': '1h' });
    await kv.call('PATCH', '/v1/kv/keep/json', { json: { a: 1 } });
    expect(end(await kv.get('/v1/kv/keep/json'))).toBe(before);
    await kv.put('/v1/kv/keep/k', '2');
    expect(end(await kv.get('/v1/kv/keep/k'))).toBeNull();
  });

  test('any write may give a life: put, patch, incr, touch, and operations of a batch', async () => {
    const headers = { 'kv-ttl': '5m' };
    const wanted = clock.now() + 300_000;
    expect(end(await kv.put('/v1/kv/any/a', '1', headers))).toBe(wanted);
    expect(end(await kv.call('PATCH', '/v1/kv/any/b', { json: { a: 1 }, headers }))).toBe(wanted);
    expect(end(await kv.post('/v1/kv/any/c:incr', {}, headers))).toBe(wanted);
    expect(end(await kv.post('/v1/kv/any/d:incr', { ttl: '5m' }))).toBe(wanted);
    await kv.put('/v1/kv/any/e', '1');
    expect(end(await kv.post('/v1/kv/any/e:touch', undefined, headers))).toBe(wanted);
    const operations = [
      { op: 'put', key: 'f', value: '1', ttl: '5m' },
      { op: 'put', key: 'g', value: '1', expiresAt: inMs(300_000) },
      { op: 'incr', key: 'h', ttl: '5m' },
      { op: 'touch', key: 'f', ttl: '5m' },
      { op: 'patch', key: 'i', patch: {}, ttl: '5m' },
    ];
    const { results } = (await kv.post('/v1/kv/any:batch', { operations })).json;
    for (const { entry } of results) expect(Date.parse(entry.expiresAt)).toBe(wanted);
  });

  test('touch changes the life and the revision, not the value; without a life the key is kept', async () => {
    const made = await kv.wrote('/v1/kv/touch/k', 'v', { 'kv-ttl': '1s', 'content-type': 'text/x', 'kv-meta-a': 'b' });
    const touched = await kv.post('/v1/kv/touch/k:touch', undefined, { 'kv-ttl': '1h' });
    expect([touched.status, end(touched)]).toEqual([204, clock.now() + 3_600_000]);
    expect(Number(touched.headers.get('kv-revision'))).toBeGreaterThan(made);
    clock.advance(2_000);
    const { text, headers } = await kv.get('/v1/kv/touch/k');
    expect([text, headers.get('content-type'), headers.get('kv-meta-a')]).toEqual(['v', 'text/x', 'b']);
    await kv.post('/v1/kv/touch/k:touch');
    expect(end(await kv.get('/v1/kv/touch/k'))).toBeNull();
    problemIn(await kv.post('/v1/kv/touch/missing:touch'), 404, 'key_not_found');
    problemIn(await kv.post('/v1/kv/touch/k:touch', undefined, { 'if-match': '"1"' }), 412, 'precondition_failed');
  });

  test('a key that has expired can be made anew with If-None-Match: *, at version 1', async () => {
    await kv.put('/v1/kv/again/k', '1', { 'kv-ttl': '1s' });
    clock.advance(1_000);
    const made = await kv.put('/v1/kv/again/k', '2', { 'if-none-match': '*' });
    expect([made.status, made.headers.get('kv-version')]).toEqual([201, '1']);
  });

  test("a bucket's own TTL counts for entries written without one", async () => {
    await kv.bucket('short', { ttlMs: 1_000 });
    expect(end(await kv.put('/v1/kv/short/a', '1'))).toBe(clock.now() + 1_000);
    expect(end(await kv.put('/v1/kv/short/b', '1', { 'kv-ttl': '1h' }))).toBe(clock.now() + 3_600_000);
    expect(end(await kv.post('/v1/kv/short/c:incr', {}))).toBe(clock.now() + 1_000);
  });

  test('an entry that is due is gone after a restart too', async () => {
    await kv.put('/v1/kv/due/k', 'v', { 'kv-ttl': '10s' });
    await kv.put('/v1/kv/due/stays', 'v', { 'kv-ttl': '20s' });
    await kv.stop();
    clock.advance(10_000);
    await kv.start();
    expect(await kv.keys('due')).toEqual(['stays']);
  });
});

describe('bad lives', () => {
  const FOREVER = '999999999999999d';
  const bad = ['0s', '0', '-5s', '30', '1y', '1.5s', '1 s', 's', '99ms', '36501d', FOREVER, '30S', '1h30m', '1s, 2s'];

  test.each(bad)('KV-TTL: %s is refused', async (ttl) => {
    problemIn(await kv.put('/v1/kv/bad/k', 'v', { 'kv-ttl': ttl }), 400, 'invalid_ttl');
    problemIn(await kv.post('/v1/kv/bad/k:incr', { ttl }), 400, 'invalid_ttl');
    const { results } = (await kv.post('/v1/kv/bad:batch', { operations: [{ op: 'put', key: 'k', value: 'v', ttl }] }))
      .json;
    expect(results[0].problem.code).toBe('invalid_ttl');
  });

  test('an end that has passed, is now, is malformed, has no zone or is 100 years away is refused', async () => {
    const ends = [
      inMs(-1),
      inMs(0),
      'tomorrow',
      '2031-01-01',
      '2031-01-01T00:00:00',
      '2031-13-01T00:00:00Z',
      '1893456000',
      '2199-01-01T00:00:00Z',
    ];
    for (const text of ends)
      problemIn(await kv.put('/v1/kv/bad/k', 'v', { 'kv-expires-at': text }), 400, 'invalid_ttl');
    await kv.wrote('/v1/kv/ok/k', 'v', { 'kv-expires-at': inMs(1) });
  });

  test('a TTL and an end together are refused, in headers and in bodies', async () => {
    const headers = { 'kv-ttl': '1h', 'kv-expires-at': inMs(5_000) };
    problemIn(await kv.put('/v1/kv/bad/k', 'v', headers), 400, 'invalid_ttl');
    problemIn(await kv.post('/v1/kv/bad/k:incr', { ttl: '1h', expiresAt: inMs(5_000) }), 400, 'invalid_ttl');
  });

  test('a refused write makes no bucket', async () => {
    problemIn(await kv.put('/v1/kv/never/k', 'v', { 'kv-ttl': '0s' }), 400, 'invalid_ttl');
    problemIn(
      await kv.post('/v1/kv/never:txn', { then: [{ op: 'put', key: 'k', value: 'v', ttl: '0s' }] }),
      400,
      'invalid_ttl',
    );
    problemIn(await kv.get('/v1/buckets/never'), 404, 'bucket_not_found');
  });
});
