import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { EventReader } from './event-reader.ts';
import { KvUnderTest, problemIn, withKv } from './kv-under-test.ts';

const kv = withKv({ env: { KV_SNAPSHOTS_MAX: '4' } });

async function snapshot(): Promise<string> {
  const { status, json, headers } = await kv.post('/v1/snapshots');
  expect(status).toBe(201);
  expect(headers.get('location')).toBe(`/v1/snapshots/${json.id}`);
  return json.id;
}

const restore = (id: string) => kv.post(`/v1/snapshots/${id}:restore`);
const forget = (id: string) => kv.delete(`/v1/snapshots/${id}`);

afterEach(async () => {
  for (const { id } of (await kv.get('/v1/snapshots')).json.snapshots) await forget(id);
});

describe('snapshots', () => {
  test('asked for twice with one idempotency key, one is made', async () => {
    const ask = () => kv.post('/v1/snapshots', undefined, { 'idempotency-key': 'once' });
    const [first, again] = [await ask(), await ask()];
    expect(again.json).toEqual(first.json);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect((await kv.get('/v1/snapshots')).json.snapshots).toHaveLength(1);
  });

  test('a restore brings back every value, type, end of life and bucket, of durable and of write-back buckets', async () => {
    await kv.bucket('wb', { mode: 'write-back', flushMs: 20 });
    await kv.wrote('/v1/kv/all/kept', 'old', { 'content-type': 'text/plain', 'kv-meta-owner': 'ann', 'kv-ttl': '1h' });
    await kv.wrote('/v1/kv/all/gone', 'deleted later');
    await kv.wrote('/v1/kv/wb/k', 'old');
    const before = await kv.get('/v1/kv/all/kept');
    const id = await snapshot();
    await kv.wrote('/v1/kv/all/kept', 'new');
    await kv.wrote('/v1/kv/all/made', 'after the snapshot');
    await kv.delete('/v1/kv/all/gone');
    await kv.wrote('/v1/kv/wb/k', 'new');
    await kv.wrote('/v1/kv/later/k', 'a bucket of later');
    expect((await restore(id)).status).toBe(200);

    const after = await kv.get('/v1/kv/all/kept');
    expect(after.text).toBe('old');
    for (const name of ['content-type', 'kv-meta-owner', 'kv-expires-at', 'etag', 'kv-version', 'last-modified']) {
      expect([name, after.headers.get(name)]).toEqual([name, before.headers.get(name)]);
    }
    expect(await kv.keys('all')).toEqual(['gone', 'kept']);
    expect((await kv.get('/v1/kv/wb/k')).text).toBe('old');
    problemIn(await kv.get('/v1/kv/later/k'), 404, 'bucket_not_found');
  });

  test('after a restore no revision and no ETag is given a second time, in either engine', async () => {
    await kv.bucket('wb2', { mode: 'write-back' });
    await kv.wrote('/v1/kv/rev/k', '1');
    const id = await snapshot();
    const lost = [await kv.wrote('/v1/kv/rev/k', '2'), await kv.wrote('/v1/kv/wb2/k', '2')];
    const { json } = await restore(id);
    expect(json.revision).toBeGreaterThanOrEqual(Math.max(...lost));
    const next = [await kv.wrote('/v1/kv/rev/k', '3'), await kv.wrote('/v1/kv/wb2/k', '3')];
    for (const revision of next) expect(revision).toBeGreaterThan(Math.max(...lost));
    problemIn(await kv.put('/v1/kv/rev/k', '4', { 'if-match': `"${lost[0]}"` }), 412, 'precondition_failed');
  });

  test('a write-back bucket that is made after a restore to before the first one repeats no revision', async () => {
    const fresh = await new KvUnderTest().start();
    await fresh.wrote('/v1/kv/d/k', '1');
    const { id } = (await fresh.post('/v1/snapshots')).json;
    await fresh.bucket('wb', { mode: 'write-back' });
    const lost = await fresh.wrote('/v1/kv/wb/k', '1');
    expect((await fresh.post(`/v1/snapshots/${id}:restore`)).status).toBe(200);
    await fresh.bucket('wb', { mode: 'write-back' });
    expect(await fresh.wrote('/v1/kv/wb/k', '2')).toBeGreaterThan(lost);
    await fresh.stop();
  });

  test('a bucket that is made after a restore has nothing in it, in every mode', async () => {
    const id = await snapshot();
    const settings = { 'write-back': {}, cache: { bytesMax: 100_000 }, durable: {} };
    for (const [mode, more] of Object.entries(settings)) {
      await kv.bucket(`lost-${mode}`, { mode, ...more });
      await kv.wrote(`/v1/kv/lost-${mode}/ghost`, 'v');
    }
    await restore(id);
    for (const mode of Object.keys(settings))
      problemIn(await kv.get(`/v1/kv/lost-${mode}/ghost`), 404, 'bucket_not_found');
    for (const [mode, more] of Object.entries(settings)) {
      await kv.bucket(`new-${mode}`, { mode, ...more });
      expect([mode, await kv.keys(`new-${mode}`)]).toEqual([mode, []]);
    }
  });

  test('a watch that stands when a snapshot is restored is told so and ends', async () => {
    await kv.wrote('/v1/kv/told/k', '1');
    const id = await snapshot();
    await kv.wrote('/v1/kv/told/k', '2');
    const reader = await EventReader.open(`${kv.url}/v1/watch/told`);
    const poll = kv.get(
      '/v1/kv/told:changes?wait=20s&since='.concat(String((await kv.get('/v1/buckets/told')).json.revision)),
    );
    await restore(id);
    expect(await reader.until('gone')).toMatchObject({ problem: { code: 'revision_compacted', status: 410 } });
    await reader.untilOver();
    problemIn(await poll, 410, 'revision_compacted');
  });

  test('a page, a watch and a read of the past from before a restore are 410 after it', async () => {
    const revisions = [await kv.wrote('/v1/kv/past/a', '1'), await kv.wrote('/v1/kv/past/b', '1')];
    const { cursor } = (await kv.get('/v1/kv/past?limit=1')).json;
    const id = await snapshot();
    await kv.wrote('/v1/kv/past/a', '2');
    await restore(id);
    problemIn(await kv.get(`/v1/kv/past?limit=1&cursor=${cursor}`), 410, 'revision_compacted');
    problemIn(await kv.get(`/v1/watch/past?since=${revisions[1]}`), 410, 'revision_compacted');
    problemIn(await kv.get(`/v1/kv/past?rev=${revisions[0]}`), 410, 'revision_compacted');
  });

  test('while a snapshot is restored every read and write is answered well or with 503', async () => {
    for (let at = 0; at < 20; at++) await kv.wrote(`/v1/kv/busy/${at}`, 'x'.repeat(10_000));
    const id = await snapshot();
    let isOver = false;
    const statuses = new Set<number>();
    const acknowledged: number[] = [];
    const readers = [0, 1, 2].map(async (each) => {
      for (let at = 0; !isOver; at++) {
        const path = `/v1/kv/busy/${at % 20}`;
        const answer =
          each === 0
            ? await kv.put(path, 'y')
            : each === 1
              ? await kv.get(path)
              : await kv.get('/v1/kv/busy?values=true');
        statuses.add(answer.status);
        if (each === 0 && answer.status < 300) acknowledged.push(Number(answer.headers.get('kv-revision')));
      }
    });
    for (let round = 0; round < 2; round++) expect((await restore(id)).status).toBe(200);
    isOver = true;
    await Promise.all(readers);
    expect([...statuses].filter((status) => ![200, 201, 204, 503].includes(status))).toEqual([]);
    expect(new Set(acknowledged).size).toBe(acknowledged.length);
  });

  test('a restored state survives a restart, and only its generation is left on the disk', async () => {
    await kv.wrote('/v1/kv/stay/k', 'old');
    const id = await snapshot();
    await kv.wrote('/v1/kv/stay/k', 'new');
    await restore(id);
    const revision = await kv.wrote('/v1/kv/stay/after', '1');
    await kv.restart();
    expect((await kv.get('/v1/kv/stay/k')).text).toBe('old');
    expect((await kv.get('/v1/kv/stay/after')).headers.get('kv-revision')).toBe(String(revision));
    expect(readdirSync(kv.dir).filter((name) => /^g\d+$/.test(name))).toHaveLength(1);
  });

  test('a crash before the switch leaves the old state: a next generation that was begun is removed at the start', async () => {
    await kv.wrote('/v1/kv/crash/k', 'old');
    await kv.stop();
    const generation = readdirSync(kv.dir).find((name) => /^g\d+$/.test(name))!;
    const begun = join(kv.dir, `g${Number(generation.slice(1)) + 1}`);
    mkdirSync(join(begun, 'durable'), { recursive: true });
    writeFileSync(join(begun, 'durable', 'half'), 'a copy that was cut off');
    await kv.start();
    expect(existsSync(begun)).toBe(false);
    expect((await kv.get('/v1/kv/crash/k')).text).toBe('old');
  });

  test('a snapshot that was cut off by a crash is not listed, and its remains go with the next one', async () => {
    const remains = join(kv.dir, 'snapshots', '20300101T000000000Z-7.unfinished');
    mkdirSync(remains, { recursive: true });
    expect((await kv.get('/v1/snapshots')).json.snapshots).toEqual([]);
    await snapshot();
    expect(existsSync(remains)).toBe(false);
  });

  test('snapshots are listed newest first, with their size, and can be deleted', async () => {
    const ids = [await snapshot(), await snapshot()];
    const { snapshots } = (await kv.get('/v1/snapshots')).json;
    expect(snapshots.map(({ id }: { id: string }) => id)).toEqual(ids.toReversed());
    expect(snapshots[0].sizeBytes).toBeGreaterThan(0);
    for (const id of ids) expect((await forget(id)).status).toBe(204);
    expect((await kv.get('/v1/snapshots')).json).toEqual({ snapshots: [] });
  });

  test('one snapshot more than KV_SNAPSHOTS_MAX is refused and says so', async () => {
    const ids = [await snapshot(), await snapshot(), await snapshot(), await snapshot()];
    problemIn(await kv.post('/v1/snapshots'), 409, 'conflict');
    await forget(ids[0]!);
    await snapshot();
  });

  test('a missing snapshot cannot be restored or deleted, nor can a path be smuggled in', async () => {
    problemIn(await restore('20300101T000000000Z-1'), 404, 'snapshot_not_found');
    problemIn(await forget('20300101T000000000Z-1'), 404, 'snapshot_not_found');
    problemIn(await restore('..%2f..%2fetc'), 404, 'snapshot_not_found');
    problemIn(await forget('%2e%2e%2fg1'), 404, 'snapshot_not_found');
    expect((await kv.get('/readyz')).status).toBe(200);
  });
});
