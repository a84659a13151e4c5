import { describe, expect, test } from '@jest/globals';
import { eventually, ManualClock } from '@plinth/testkit';
import { problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now });
const at = (ms: number) => encodeURIComponent(new Date(ms).toISOString());

/** Writes values a second apart. @returns Their revisions and times. */
async function versions(path: string, values: string[]): Promise<{ revision: number; ms: number }[]> {
  const written = [];
  for (const value of values) {
    clock.advance(1_000);
    written.push({ revision: await kv.wrote(path, value, { 'content-type': `text/${value}` }), ms: clock.now() });
  }
  return written;
}

describe('reading the past', () => {
  test('?rev gives a value as it was at any revision, with its own ETag and type', async () => {
    const [one, two] = await versions('/v1/kv/b/rev', ['one', 'two']);
    await kv.wrote('/v1/kv/b/between', 'x');
    const three = await kv.wrote('/v1/kv/b/rev', 'three');
    const past = await kv.get(`/v1/kv/b/rev?rev=${one!.revision}`);
    expect([past.text, past.headers.get('etag'), past.headers.get('content-type')]).toEqual([
      'one',
      `"${one!.revision}"`,
      'text/one',
    ]);
    for (let revision = two!.revision; revision < three; revision++) {
      expect((await kv.get(`/v1/kv/b/rev?rev=${revision}`)).text).toBe('two');
    }
    expect((await kv.get(`/v1/kv/b/rev?rev=${three}`)).text).toBe('three');
    problemIn(await kv.get(`/v1/kv/b/rev?rev=${one!.revision - 1}`), 404, 'key_not_found');
  });

  test('?at gives a value as it was at a time, to the millisecond', async () => {
    const [one, two] = await versions('/v1/kv/b/at', ['one', 'two']);
    clock.advance(1_000);
    expect((await kv.get(`/v1/kv/b/at?at=${at(one!.ms)}`)).text).toBe('one');
    expect((await kv.get(`/v1/kv/b/at?at=${at(two!.ms - 1)}`)).text).toBe('one');
    expect((await kv.get(`/v1/kv/b/at?at=${at(two!.ms)}`)).text).toBe('two');
    problemIn(await kv.get(`/v1/kv/b/at?at=${at(one!.ms - 1)}`), 404, 'key_not_found');
    expect((await kv.get(`/v1/kv/b/at?at=${at(clock.now() + 3_600_000)}`)).text).toBe('two');
  });

  test('what was deleted or has expired is still there in its past', async () => {
    const alive = await kv.wrote('/v1/kv/b/mortal', 'v', { 'kv-ttl': '10s' });
    const aliveMs = clock.now();
    clock.advance(20_000);
    problemIn(await kv.get('/v1/kv/b/mortal'), 404, 'key_not_found');
    await kv.wrote('/v1/kv/b/after', 'x');
    expect((await kv.get(`/v1/kv/b/mortal?rev=${alive}`)).text).toBe('v');
    expect((await kv.get(`/v1/kv/b/mortal?at=${at(aliveMs + 9_999)}`)).text).toBe('v');
    problemIn(await kv.get(`/v1/kv/b/mortal?at=${at(aliveMs + 10_000)}`), 404, 'key_not_found');
  });

  test('a whole list can be read at a revision and at a time', async () => {
    for (const key of ['a', 'b', 'c']) await kv.wrote(`/v1/kv/list/${key}`, 'old');
    const { revision } = (await kv.get('/v1/kv/list')).json;
    const ms = clock.now();
    clock.advance(1_000);
    await kv.delete('/v1/kv/list/a');
    await kv.wrote('/v1/kv/list/b', 'new');
    await kv.wrote('/v1/kv/list/d', 'new');
    for (const query of [`rev=${revision}`, `at=${at(ms)}`]) {
      const { items } = (await kv.get(`/v1/kv/list?values=true&${query}`)).json;
      expect(items.map(({ key, value }: { key: string; value: string }) => key + value)).toEqual([
        'aold',
        'bold',
        'cold',
      ]);
    }
  });

  test('?history gives versions newest first, deletions included, with values if asked', async () => {
    await versions('/v1/kv/b/hist', ['one', 'two']);
    await kv.delete('/v1/kv/b/hist');
    await kv.wrote('/v1/kv/b/hist', 'three');
    const { versions: all } = (await kv.get('/v1/kv/b/hist?history=10&values=true')).json;
    expect(all.map(({ type, value }: { type: string; value?: string }) => value ?? type)).toEqual([
      'three',
      'delete',
      'two',
      'one',
    ]);
    expect(all[0]).toMatchObject({ type: 'put', version: 1 });
    const some = (await kv.get('/v1/kv/b/hist?history=2')).json.versions;
    expect(some.map(({ type, value }: { type: string; value?: string }) => [type, value])).toEqual([
      ['put', undefined],
      ['delete', undefined],
    ]);
    problemIn(await kv.get('/v1/kv/b/nothing?history=2'), 404, 'key_not_found');
  });

  test('rev and at together, the future, and history out of 1–64 are refused', async () => {
    const revision = await kv.wrote('/v1/kv/b/bad', 'v');
    expect(
      problemIn(await kv.get(`/v1/kv/b/bad?rev=1&at=${at(clock.now())}`), 400, 'invalid_request').issues[0].path,
    ).toBe('/query/at');
    problemIn(await kv.get(`/v1/kv/b?rev=1&at=${at(clock.now())}`), 400, 'invalid_request');
    expect(problemIn(await kv.get(`/v1/kv/b/bad?rev=${revision + 1}`), 400, 'invalid_request').revision).toBe(revision);
    for (const query of [
      'history=0',
      'history=65',
      'history=x',
      'rev=-1',
      'rev=1.5',
      'rev=',
      'at=yesterday',
      'at=2030-01-01',
      'rev=9999999999999999',
    ]) {
      problemIn(await kv.get(`/v1/kv/b/bad?${query}`), 400, 'invalid_request');
    }
    expect((await kv.get('/v1/kv/b/bad?history=64')).status).toBe(200);
  });
});

describe('compaction', () => {
  test('by hand: what went before the revision is 410 with the compacted revision, the present stays', async () => {
    const [one, two, three] = await versions('/v1/kv/c/k', ['one', 'two', 'three']);
    const answer = await kv.post(`/v1/kv/c:compact?rev=${two!.revision}`);
    expect(answer.json).toEqual({ compactedRevision: two!.revision, removed: 1 });
    const body = problemIn(await kv.get(`/v1/kv/c/k?rev=${one!.revision}`), 410, 'revision_compacted');
    expect(body.compactedRevision).toBe(two!.revision);
    problemIn(await kv.get(`/v1/kv/c?rev=${one!.revision}`), 410, 'revision_compacted');
    problemIn(await kv.get(`/v1/kv/c?at=${at(one!.ms)}`), 410, 'revision_compacted');
    expect((await kv.get(`/v1/kv/c/k?rev=${two!.revision}`)).text).toBe('two');
    expect((await kv.get(`/v1/kv/c/k?rev=${three!.revision}`)).text).toBe('three');
    expect((await kv.get('/v1/buckets/c')).json.compactedRevision).toBe(two!.revision);
  });

  test('without a revision everything but the present is forgotten, and twice is once', async () => {
    await versions('/v1/kv/d/k', ['one', 'two', 'three']);
    await kv.wrote('/v1/kv/d/gone', 'x');
    await kv.delete('/v1/kv/d/gone');
    const first = (await kv.post('/v1/kv/d:compact')).json;
    expect(first.removed).toBeGreaterThanOrEqual(3);
    expect((await kv.post('/v1/kv/d:compact')).json).toEqual({ ...first, removed: 0 });
    expect((await kv.get('/v1/kv/d/k')).text).toBe('three');
    expect((await kv.get('/v1/kv/d/k?history=10')).json.versions).toHaveLength(1);
    problemIn(await kv.get('/v1/kv/d/gone?history=10'), 404, 'key_not_found');
    problemIn(await kv.post('/v1/kv/nothing:compact'), 404, 'bucket_not_found');
  });

  test('historyCount versions of each key outlive a compaction', async () => {
    await kv.bucket('three', { historyCount: 3 });
    await versions('/v1/kv/three/k', ['1', '2', '3', '4', '5']);
    await kv.post('/v1/kv/three:compact');
    const { versions: kept } = (await kv.get('/v1/kv/three/k?history=10&values=true')).json;
    expect(kept.map(({ value }: { value: string }) => value)).toEqual(['5', '4', '3']);
  });

  test('in the background: what is older than historyMs is forgotten, and only then', async () => {
    await kv.bucket('young', { historyMs: 10_000 });
    const [one, two] = await versions('/v1/kv/young/k', ['one', 'two']);
    clock.advance(9_000);
    await kv.wrote('/v1/kv/young/other', 'x');
    expect((await kv.get(`/v1/kv/young/k?rev=${one!.revision}`)).text).toBe('one');
    clock.advance(1_001);
    await eventually(async () => (await kv.get(`/v1/kv/young/k?rev=${one!.revision}`)).status === 410);
    expect((await kv.get(`/v1/kv/young/k?rev=${two!.revision}`)).text).toBe('two');
  });

  test('in the background: no more than historyRevisionsMax superseded versions are kept, however young', async () => {
    await kv.bucket('crowded', { historyRevisionsMax: 1_000 });
    const first = await kv.wrote('/v1/kv/crowded/k', 'v');
    for (let round = 0; round < 5; round++) {
      const operations = Array.from({ length: 300 }, () => ({ op: 'put', key: 'k', value: 'v' }));
      await kv.post('/v1/kv/crowded:batch', { operations });
    }
    await eventually(async () => (await kv.get(`/v1/kv/crowded/k?rev=${first}`)).status === 410);
    expect((await kv.get('/v1/kv/crowded/k')).headers.get('kv-version')).toBe('1501');
  });
});
