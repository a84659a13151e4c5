// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { beforeAll, describe, expect, test } from '@jest/globals';
import { problemIn, withKv } from './kv-under-test.ts';

const kv = withKv();
const FRUIT = ['apple', 'banana', 'cherry', 'date', 'elder'];

beforeAll(async () => {
  for (const key of ['elder', 'banana', 'date', 'apple', 'cherry']) await kv.wrote(`/v1/kv/fruit/${key}`, `${key}!`);
  for (const key of ['a', 'a/1', 'a/2', 'a/b/3', 'ab', 'b/1', 'c']) await kv.wrote(`/v1/kv/tree/${key}`, 'x');
});

const keysOf = ({ items }: { items: { key: string }[] }) => items.map(({ key }) => key);

/** Follows cursors to the end. */
async function pages(path: string, between: () => Promise<unknown> = async () => {}) {
  const found = [];
  for (let cursor: string | undefined; ; ) {
    const { json } = await kv.get(path + (cursor === undefined ? '' : `&cursor=${cursor}`));
    found.push(json);
    ({ cursor } = json);
    if (cursor === undefined) return found;
    await between();
  }
}

describe('lists', () => {
  test('keys come in the order of their bytes, without values unless asked', async () => {
    const { json } = await kv.get('/v1/kv/fruit');
    expect(keysOf(json)).toEqual(FRUIT);
    expect(json.items[0]).toMatchObject({ version: 1, sizeBytes: 6 });
    expect([json.items[0].value, json.cursor]).toEqual([undefined, undefined]);
    const whole = (await kv.get('/v1/kv/fruit?values=true')).json;
    expect(whole.items[0]).toMatchObject({ key: 'apple', value: 'apple!' });
    for (const key of ['Z', 'a', 'é', '日', '\u{1F600}', 'ab', 'a!'])
      await kv.wrote(`/v1/kv/order/${encodeURIComponent(key)}`, 'x');
    expect(await kv.keys('order')).toEqual(['Z', 'a', 'a!', 'ab', 'é', '日', '\u{1F600}']);
  });

  test.each([
    ['prefix=b', ['banana']],
    ['prefix=', FRUIT],
    ['prefix=zzz', []],
    ['start=banana&end=date', ['banana', 'cherry']],
    ['start=b', ['banana', 'cherry', 'date', 'elder']],
    ['end=banana', ['apple']],
    ['start=d&end=b', []],
    ['reverse=true', FRUIT.toReversed()],
    ['reverse=true&start=banana&end=date', ['cherry', 'banana']],
    ['reverse=true&limit=2', ['elder', 'date']],
    ['prefix=c&start=b', ['cherry']],
    ['prefix=c&start=d', []],
  ])('?%s gives %j', async (query, keys) => {
    expect(keysOf((await kv.get(`/v1/kv/fruit?${query}`)).json)).toEqual(keys);
  });

  test('count answers how many there are, of all or of a range, in the past too', async () => {
    expect((await kv.get('/v1/kv/fruit?count=true')).json).toEqual({ count: 5, revision: expect.any(Number) });
    expect((await kv.get('/v1/kv/fruit?count=true&prefix=c')).json.count).toBe(1);
    const { revision } = (await kv.get('/v1/kv/fruit?count=true')).json;
    await kv.wrote('/v1/kv/fruit/fig', '1');
    expect((await kv.get(`/v1/kv/fruit?count=true&rev=${revision}`)).json.count).toBe(5);
    await kv.delete('/v1/kv/fruit/fig');
  });

  test('pages follow each other by cursor and by Link, both ways, and end without one', async () => {
    for (const query of ['limit=2', 'limit=2&reverse=true']) {
      const all = await pages(`/v1/kv/fruit?${query}`);
      expect(all.map(keysOf).map(({ length }) => length)).toEqual([2, 2, 1]);
      expect(all.flatMap(keysOf)).toEqual(query.includes('reverse') ? FRUIT.toReversed() : FRUIT);
    }
    const first = await kv.get('/v1/kv/fruit?limit=4&prefix=');
    const next = /^<(.+)>; rel="next"$/.exec(first.headers.get('link')!)![1]!;
    expect(keysOf((await kv.get(next)).json)).toEqual(['elder']);
    expect((await kv.get('/v1/kv/tree?limit=7')).json.cursor).toBeUndefined();
  });

  test('the limit may change from page to page', async () => {
    const { cursor } = (await kv.get('/v1/kv/fruit?limit=1')).json;
    expect(keysOf((await kv.get(`/v1/kv/fruit?limit=3&cursor=${cursor}`)).json)).toEqual(['banana', 'cherry', 'date']);
  });

  test('all pages of a list show one revision, however much is written meanwhile', async () => {
    for (let at = 10; at < 40; at++) await kv.wrote(`/v1/kv/busy/k${at}`, 'old');
    let step = 0;
    const all = await pages('/v1/kv/busy?limit=7&values=true', async () => {
      step += 1;
      await kv.put(`/v1/kv/busy/k${40 - step}`, 'new');
      await kv.put(`/v1/kv/busy/k${10 + step}x`, 'made meanwhile');
      await kv.delete(`/v1/kv/busy/k${35 - step}`);
    });
    expect(new Set(all.map(({ revision }) => revision)).size).toBe(1);
    const items = all.flatMap(({ items }) => items);
    expect(items.map(({ key }) => key)).toEqual(Array.from({ length: 30 }, (_, at) => `k${at + 10}`));
    expect(new Set(items.map(({ value }) => value))).toEqual(new Set(['old']));
    // And the same asked for at once.
    const { json } = await kv.get(`/v1/kv/busy?values=true&rev=${all[0].revision}`);
    expect(json.items).toEqual(items);
  });

  test('a page ends where its bytes are used up, and nothing is lost between two', async () => {
    const value = 'x'.repeat(900_000);
    for (let at = 0; at < 7; at++) await kv.wrote(`/v1/kv/large/${at}`, value);
    const all = await pages('/v1/kv/large?limit=100&values=true');
    expect(all.length).toBeGreaterThan(1);
    for (const page of all) expect(page.items.length).toBeLessThanOrEqual(6);
    expect(all.flatMap(keysOf)).toEqual(['0', '1', '2', '3', '4', '5', '6']);
  });

  test.each([
    ['delimiter=/', ['a', 'ab', 'c'], ['a/', 'b/']],
    ['delimiter=/&prefix=a/', ['a/1', 'a/2'], ['a/b/']],
    ['delimiter=/&reverse=true', ['c', 'ab', 'a'], ['b/', 'a/']],
    ['delimiter=/&start=a/2&end=b', ['ab'], ['a/']],
    ['delimiter=nothing', ['a', 'a/1', 'a/2', 'a/b/3', 'ab', 'b/1', 'c'], undefined],
  ])('?%s folds keys into folders', async (query, keys, prefixes) => {
    const { json } = await kv.get(`/v1/kv/tree?${query}`);
    expect([keysOf(json), json.prefixes]).toEqual([keys, prefixes]);
  });

  test('folders count for the limit and are told once over all pages', async () => {
    const all = await pages('/v1/kv/tree?delimiter=/&limit=2');
    expect(all.flatMap(keysOf)).toEqual(['a', 'ab', 'c']);
    expect(all.flatMap(({ prefixes = [] }) => prefixes)).toEqual(['a/', 'b/']);
  });

  test('Accept: application/x-ndjson streams every entry, one a line, at one revision', async () => {
    for (let at = 0; at < 3; at++) {
      const operations = Array.from({ length: 1_000 }, (_, each) => ({ op: 'put', key: `${at}-${each}`, value: 'v' }));
      await kv.post('/v1/kv/many:txn', { then: operations });
    }
    const answer = await kv.get('/v1/kv/many?values=true', { accept: 'application/x-ndjson' });
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    expect(answer.headers.get('kv-revision')).toBe(String((await kv.get('/v1/kv/many?limit=1')).json.revision));
    const lines = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(3_000);
    expect(lines[0]).toMatchObject({ key: '0-0', value: 'v' });
    const some = await kv.get('/v1/kv/many?prefix=1-&limit=5', { accept: 'application/x-ndjson' });
    expect(some.text.trimEnd().split('\n')).toHaveLength(5);
  });

  test('binary keys are listed, paged through and told in base64', async () => {
    for (const key of ['%fe', '%ff', '%ff%ff', 'a']) await kv.wrote(`/v1/kv/bin/${key}`, key);
    const all = await pages('/v1/kv/bin?limit=1&values=true');
    const names = all
      .flatMap(({ items }) => items)
      .map(({ key, keyBase64 }) => key ?? Buffer.from(keyBase64, 'base64').toString('hex'));
    expect(names).toEqual(['a', 'fe', 'ff', 'ffff']);
  });
});

describe('cursors', () => {
  test('of another bucket, of other parameters, damaged or made up are refused', async () => {
    const { cursor } = (await kv.get('/v1/kv/fruit?limit=1')).json;
    const changed = (at: number) => cursor.slice(0, at) + (cursor[at] === 'A' ? 'B' : 'A') + cursor.slice(at + 1);
    const parts = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const changedPart = (at: number, part: unknown) =>
      Buffer.from(JSON.stringify(parts.with(at, part))).toString('base64url');
    const bad = [
      `fruit?cursor=${changedPart(3, parts[3] - 1)}`,
      `fruit?cursor=${changedPart(4, parts[4] + 1)}`,
      `fruit?cursor=${changedPart(5, 'elder')}`,
      `fruit?cursor=${changedPart(6, 'elder')}`,
      `tree?cursor=${cursor}`,
      `fruit?prefix=a&cursor=${cursor}`,
      `fruit?reverse=true&cursor=${cursor}`,
      `fruit?values=true&cursor=${cursor}`,
      `fruit?delimiter=/&cursor=${cursor}`,
      `fruit?cursor=${cursor.slice(0, -4)}`,
      ...[3, 20, 40, 60, cursor.length - 8].map((at) => `fruit?cursor=${changed(at)}`),
      'fruit?cursor=nonsense',
      'fruit?cursor=',
      `fruit?cursor=${Buffer.from('[1,2,3]').toString('base64url')}`,
      `fruit?cursor=${Buffer.from('null').toString('base64url')}`,
    ];
    for (const path of bad) problemIn(await kv.get(`/v1/kv/${path}`), 400, 'invalid_cursor');
    expect((await kv.get(`/v1/kv/fruit?cursor=${cursor}`)).status).toBe(200);
  });

  test('a cursor whose revision was compacted is 410 with the compacted revision', async () => {
    for (const key of ['a', 'b', 'c']) await kv.wrote(`/v1/kv/compacted/${key}`, '1');
    const { cursor } = (await kv.get('/v1/kv/compacted?limit=1')).json;
    await kv.wrote('/v1/kv/compacted/d', '1');
    const { compactedRevision } = (await kv.post('/v1/kv/compacted:compact')).json;
    const body = problemIn(await kv.get(`/v1/kv/compacted?cursor=${cursor}`), 410, 'revision_compacted');
    expect(body.compactedRevision).toBe(compactedRevision);
  });
});

describe('deleting a range', () => {
  test('deletes what begins with the prefix, or lies between start and end, in one revision', async () => {
    for (const key of ['a/1', 'a/2', 'b/1', 'b/2', 'c']) await kv.wrote(`/v1/kv/range/${key}`, 'x');
    const { json } = await kv.delete('/v1/kv/range?prefix=a/');
    expect(json).toEqual({ deleted: 2, more: false, revision: expect.any(Number) });
    expect((await kv.delete('/v1/kv/range?start=b/2&end=c')).json.deleted).toBe(1);
    expect(await kv.keys('range')).toEqual(['b/1', 'c']);
    const { events } = (await kv.get(`/v1/kv/range:changes?since=${json.revision - 1}&limit=2`)).json;
    expect(events.map(({ revision }: { revision: number }) => revision)).toEqual([json.revision, json.revision]);
  });

  test('without a range it wants all=true', async () => {
    await kv.wrote('/v1/kv/all/k', 'x');
    expect(problemIn(await kv.delete('/v1/kv/all'), 400, 'invalid_request').issues[0].path).toBe('/query/all');
    problemIn(await kv.delete('/v1/kv/all?all=false'), 400, 'invalid_request');
    expect((await kv.delete('/v1/kv/all?all=true')).json.deleted).toBe(1);
    expect((await kv.delete('/v1/kv/all?all=true')).json.deleted).toBe(0);
  });
});
