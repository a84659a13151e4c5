// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { afterEach, describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { EventReader } from './event-reader.ts';
import { KvUnderTest, problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now, env: { KV_WATCH_HEARTBEAT_MS: '150ms' } });
const NDJSON = { accept: 'application/x-ndjson' };
const open: EventReader[] = [];

async function watch(path: string, headers: Record<string, string> = {}): Promise<EventReader> {
  const reader = await EventReader.open(`${kv.url}/v1/watch/${path}`, headers);
  open.push(reader);
  return reader;
}

const present = async (bucket: string): Promise<number> => (await kv.get(`/v1/buckets/${bucket}`)).json.revision;
const puts = (count: number, prefix: string) =>
  Array.from({ length: count }, (_, at) => ({ op: 'put', key: `${prefix}${at}`, value: 'v' }));

afterEach(() => {
  for (const reader of open.splice(0)) reader.close();
});

describe('the six guarantees of a watch', () => {
  test('ordered: events come in the order of their revisions', async () => {
    await kv.bucket('ordered');
    const reader = await watch('ordered');
    await Promise.all(Array.from({ length: 200 }, (_, at) => kv.put(`/v1/kv/ordered/${at % 20}`, String(at))));
    const revisions = (await reader.untilChanges(200)).map(({ revision }) => revision);
    expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
  });

  test('unique: no event is told twice on one watch', async () => {
    await kv.bucket('unique');
    const readers = [await watch('unique'), await watch('unique', NDJSON)];
    for (let round = 0; round < 10; round++)
      await Promise.all(Array.from({ length: 20 }, (_, at) => kv.put(`/v1/kv/unique/${at}`, 'v')));
    for (const reader of readers) {
      const changes = await reader.untilChanges(200);
      await reader.until('progress');
      expect(new Set(changes.map(({ revision, key }) => `${revision} ${key}`)).size).toBe(200);
      expect(reader.changes).toHaveLength(200);
    }
  });

  test('reliable: nothing is left out between two events, with writers, transactions and deletions at once', async () => {
    const before = await kv.wrote('/v1/kv/reliable/first', 'v');
    const reader = await watch(`reliable?since=${before}`);
    await Promise.all([
      ...Array.from({ length: 50 }, (_, at) => kv.put(`/v1/kv/reliable/a${at}`, 'v')),
      ...Array.from({ length: 10 }, (_, at) => kv.post('/v1/kv/reliable:txn', { then: puts(10, `t${at}-`) })),
      ...Array.from({ length: 20 }, () => kv.delete('/v1/kv/reliable?prefix=a')),
    ]);
    await reader.untilChanges(150);
    await reader.until('progress');
    // Played back, the events are what is there.
    const state = new Set(['first']);
    for (const { type, key } of reader.changes) type === 'put' ? state.add(key) : state.delete(key);
    expect([...state].sort()).toEqual(await kv.keys('reliable'));
    const { events } = (await kv.get(`/v1/kv/reliable:changes?since=${before}&limit=10000`)).json;
    expect(reader.changes).toEqual(events);
  });

  test('atomic: the events of a revision come together, and only the last one has an id to resume from', async () => {
    await kv.bucket('atomic');
    const reader = await watch('atomic');
    const { revision } = (await kv.post('/v1/kv/atomic:txn', { then: puts(700, 'k') })).json;
    await reader.untilChanges(700);
    const told = reader.told.filter(({ data }) => data.type === 'put');
    expect(new Set(told.map(({ data }) => data.revision))).toEqual(new Set([revision]));
    expect(told.map(({ id }) => id)).toEqual([...Array(699).fill(undefined), String(revision)]);
    expect(told.map(({ data }) => data.more)).toEqual([...Array(699).fill(true), undefined]);
  });

  test('atomic: a revision of which the prefix leaves some events ends with the last of those', async () => {
    await kv.bucket('prefixed');
    const reader = await watch('prefixed?prefix=a');
    const then = [...puts(2, 'a'), ...puts(3, 'b')];
    const { revision } = (await kv.post('/v1/kv/prefixed:txn', { then })).json;
    await reader.untilChanges(2);
    expect(reader.told.filter(({ data }) => data.type === 'put').map(({ id }) => id)).toEqual([
      undefined,
      String(revision),
    ]);
  });

  test('resumable: whoever was cut off goes on behind the last id, and has every event once', async () => {
    const first = await kv.wrote('/v1/kv/resume/k', '0');
    const all: number[] = [];
    let lastId = String(first);
    const writes = (async () => {
      for (let at = 0; at < 100; at++) await kv.put('/v1/kv/resume/k', String(at));
    })();
    while (all.length < 100) {
      const reader = await watch('resume', { 'last-event-id': lastId });
      const found = await reader.untilChanges(Math.min(15, 100 - all.length));
      reader.close();
      all.push(...found.map(({ value }) => Number(value)));
      lastId = reader.lastId;
      expect(lastId).toBe(String(found.at(-1).revision));
    }
    await writes;
    expect(all).toEqual(Array.from({ length: 100 }, (_, at) => at));
  });

  test('resumable: Last-Event-ID is stronger than `since` and than `initial`, as a browser reconnects with the same URL', async () => {
    const first = await kv.wrote('/v1/kv/stronger/k', '1');
    const second = await kv.wrote('/v1/kv/stronger/k', '2');
    await kv.wrote('/v1/kv/stronger/k', '3');
    const reader = await watch(`stronger?since=${first}&initial=true`, { 'last-event-id': String(second) });
    const [change] = await reader.untilChanges(1);
    expect([change.value, change.initial]).toEqual(['3', undefined]);
    await reader.until('progress');
    expect(reader.types).not.toContain('sync');
  });

  test('bookmarkable: a quiet watch says up to where nothing is missing, also past changes elsewhere', async () => {
    await kv.bucket('quiet');
    const reader = await watch('quiet?prefix=never');
    const revision = await kv.wrote('/v1/kv/quiet/other', 'v');
    const progress = await (async () => {
      for (;;) {
        const found = reader.told.find(({ data }) => data.type === 'progress' && data.revision >= revision);
        if (found) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    expect(progress).toMatchObject({ event: 'progress', id: String(progress.data.revision) });
    const again = await watch('quiet', { 'last-event-id': progress.id! });
    await kv.wrote('/v1/kv/quiet/next', 'v');
    expect((await again.untilChanges(1)).map(({ key }) => key)).toEqual(['next']);
  });
});

describe('what a watch tells', () => {
  test('puts with value, type and metadata; deletions; expiries', async () => {
    await kv.bucket('kinds');
    const reader = await watch('kinds');
    expect(reader.headers.get('content-type')).toBe('text/event-stream');
    expect(reader.headers.get('cache-control')).toBe('no-store');
    const revision = await kv.wrote('/v1/kv/kinds/a', 'grüße', {
      'content-type': 'text/plain',
      'kv-meta-x': 'y',
      'kv-ttl': '10s',
    });
    await kv.wrote('/v1/kv/kinds/b', Buffer.from([255, 0]));
    await kv.delete('/v1/kv/kinds/b');
    await kv.wrote('/v1/kv/kinds/%ff', 'x');
    clock.advance(10_001);
    const changes = await reader.untilChanges(5);
    expect(changes[0]).toMatchObject({
      ...{ type: 'put', key: 'a', value: 'grüße', contentType: 'text/plain', metadata: { x: 'y' }, version: 1 },
      ...{
        revision,
        createRevision: revision,
        sizeBytes: 7,
        expiresAt: expect.any(String),
        modifiedAt: expect.any(String),
      },
    });
    expect(changes[1]).toMatchObject({ type: 'put', valueBase64: '/wA=' });
    expect(changes[2]).toMatchObject({ type: 'delete', key: 'b' });
    expect(changes[3]).toMatchObject({ type: 'put', keyBase64: '/w==' });
    expect(changes[4]).toMatchObject({ type: 'expire', key: 'a' });
    expect(reader.told.find(({ data }) => data.type === 'delete')!.event).toBe('delete');
  });

  test('an entry that expires is told without anybody writing', async () => {
    await kv.wrote('/v1/kv/alone/k', 'v', { 'kv-ttl': '500ms' });
    const reader = await watch('alone');
    clock.advance(500);
    expect((await reader.untilChanges(1))[0]).toMatchObject({ type: 'expire', key: 'k' });
  });

  test('initial: the present entries, then `sync`, then changes; nothing is lost and nothing told twice between', async () => {
    await kv.post('/v1/kv/initial:txn', { then: puts(1_000, 'k') });
    const writing = (async () => {
      for (let at = 0; at < 50; at++) await kv.put(`/v1/kv/initial/w${at}`, 'v');
    })();
    const reader = await watch('initial?initial=true');
    await writing;
    const sync = await reader.until('sync');
    await reader.untilChanges(1_050);
    const at = reader.types.indexOf('sync');
    const before = reader.told.slice(0, at);
    expect(
      before.every(({ data, id }) => data.initial === true && data.revision <= sync.revision && id === undefined),
    ).toBe(true);
    const after = reader.changes.filter(({ initial }) => !initial);
    expect(after.every(({ revision }) => revision > sync.revision)).toBe(true);
    expect(new Set(reader.changes.map(({ key }) => key)).size).toBe(1_050);
    expect(reader.changes).toHaveLength(1_050);
    expect(reader.told[at]!.id).toBe(String(sync.revision));
  });

  test('initial with a prefix, of an empty bucket, and without values', async () => {
    await kv.bucket('none');
    const empty = await watch('none?initial=true');
    await empty.until('sync');
    expect(empty.types[0]).toBe('sync');
    await kv.post('/v1/kv/some:txn', { then: [...puts(3, 'a'), ...puts(3, 'b')] });
    const reader = await watch('some?initial=true&prefix=a&values=false');
    await reader.until('sync');
    expect(reader.changes.map(({ key, value, sizeBytes }) => [key, value, sizeBytes])).toEqual(
      [0, 1, 2].map((at) => [`a${at}`, undefined, 1]),
    );
  });

  test('previous: each change comes with the entry that was there before', async () => {
    await kv.wrote('/v1/kv/previous/k', 'one', { 'content-type': 'text/x' });
    const reader = await watch('previous?previous=true');
    await kv.wrote('/v1/kv/previous/k', 'two');
    await kv.delete('/v1/kv/previous/k');
    await kv.wrote('/v1/kv/previous/k', 'three');
    const changes = await reader.untilChanges(3);
    expect(changes.map(({ previous }) => previous?.value)).toEqual(['one', 'two', undefined]);
    expect(changes[0].previous).toMatchObject({ key: 'k', version: 1, contentType: 'text/x' });
  });

  test('prefix: only what begins with it, over SSE, NDJSON and long poll', async () => {
    await kv.bucket('prefix');
    const since = await present('prefix');
    const readers = [await watch('prefix?prefix=a/'), await watch('prefix?prefix=a/', NDJSON)];
    for (const key of ['a/1', 'b/1', 'a', 'a/2']) await kv.wrote(`/v1/kv/prefix/${key}`, 'v');
    for (const reader of readers) expect((await reader.untilChanges(2)).map(({ key }) => key)).toEqual(['a/1', 'a/2']);
    const { events } = (await kv.get(`/v1/kv/prefix:changes?prefix=a/&since=${since}`)).json;
    expect(events.map(({ key }: { key: string }) => key)).toEqual(['a/1', 'a/2']);
  });
});

describe('long polls', () => {
  test('a poll answers as soon as there is a change, with the revision to ask from next', async () => {
    const revision = await kv.wrote('/v1/kv/poll/k', '1');
    const poll = kv.get(`/v1/watch/poll?since=${revision}&wait=20s`, { accept: 'application/json' });
    const next = await kv.wrote('/v1/kv/poll/k', '2');
    const { json } = await poll;
    expect(json).toMatchObject({ events: [{ value: '2', revision: next }], revision: next, more: false });
    expect((await kv.get(`/v1/kv/poll:changes?since=${next}`)).json.events).toEqual([]);
  });

  test('a poll without a change answers empty when its time is over', async () => {
    const revision = await kv.wrote('/v1/kv/poll2/k', '1');
    const startedMs = performance.now();
    const { json } = await kv.get(`/v1/kv/poll2:changes?since=${revision}&wait=200ms`);
    expect([json.events, json.more]).toEqual([[], false]);
    expect(performance.now() - startedMs).toBeGreaterThan(190);
  });

  test('limit counts events but never cuts a revision in two', async () => {
    const first = await kv.wrote('/v1/kv/limit/first', 'v');
    await kv.post('/v1/kv/limit:txn', { then: puts(10, 'k') });
    await kv.wrote('/v1/kv/limit/last', 'v');
    const one = (await kv.get(`/v1/kv/limit:changes?since=${first}&limit=3`)).json;
    expect([one.events.length, one.more]).toEqual([10, true]);
    const two = (await kv.get(`/v1/kv/limit:changes?since=${one.revision}&limit=3`)).json;
    expect([two.events.length, two.more]).toEqual([1, false]);
  });
});

describe('when a watch cannot go on', () => {
  test('before it begins: a revision that was compacted is 410 with the compacted revision, by every door', async () => {
    const first = await kv.wrote('/v1/kv/gone/k', '1');
    await kv.wrote('/v1/kv/gone/k', '2');
    const { compactedRevision } = (await kv.post('/v1/kv/gone:compact')).json;
    const answers = [
      await kv.get(`/v1/watch/gone?since=${first}`),
      await kv.get('/v1/watch/gone', { 'last-event-id': String(first) }),
      await kv.get(`/v1/watch/gone?since=${first}`, NDJSON),
      await kv.get(`/v1/watch/gone?since=${first}`, { accept: 'application/json' }),
      await kv.get(`/v1/kv/gone:changes?since=${first}`),
    ];
    for (const answer of answers)
      expect(problemIn(answer, 410, 'revision_compacted').compactedRevision).toBe(compactedRevision);
    const reader = await watch(`gone?since=${compactedRevision}`);
    expect(reader.status).toBe(200);
  });

  test('while it stands: the deletion of its bucket is a `gone` event, and the stream ends', async () => {
    await kv.wrote('/v1/kv/dropped/k', '1');
    const [reader, other] = [await watch('dropped'), await watch('dropped', NDJSON)];
    await kv.delete('/v1/buckets/dropped');
    for (const each of [reader, other]) {
      expect((await each.until('gone')).problem).toMatchObject({ status: 404, code: 'bucket_not_found' });
      await each.untilOver();
      expect(each.hasEnded).toBe(true);
    }
    expect(reader.told.at(-1)!.id).toBeUndefined();
  });

  test('revisions of the future, ids that are none and missing buckets are refused', async () => {
    const revision = await kv.wrote('/v1/kv/future/k', '1');
    problemIn(await kv.get(`/v1/watch/future?since=${revision + 1}`), 400, 'invalid_request');
    for (const id of ['abc', '-1', '1.5', '1e3']) {
      const { issues } = problemIn(await kv.get('/v1/watch/future', { 'last-event-id': id }), 400, 'invalid_request');
      expect(issues[0].path).toBe('/headers/last-event-id');
    }
    problemIn(await kv.get('/v1/watch/nothing'), 404, 'bucket_not_found');
    problemIn(await kv.get('/v1/watch/future?wait=soon', { accept: 'application/json' }), 400, 'invalid_request');
  });

  test('the watch above KV_WATCHERS_MAX is a 503 that says when to try again, and one that leaves makes room', async () => {
    const few = await new KvUnderTest({ env: { KV_WATCHERS_MAX: '2' } }).start();
    await few.bucket('b');
    const readers = [await EventReader.open(`${few.url}/v1/watch/b`), await EventReader.open(`${few.url}/v1/watch/b`)];
    await Promise.all(readers.map(() => few.put('/v1/kv/b/k', 'v')));
    for (const reader of readers) await reader.untilChanges(1);
    const refused = await few.get('/v1/watch/b');
    problemIn(refused, 503, 'overloaded');
    expect(refused.headers.get('retry-after')).toBe('5');
    problemIn(await few.get('/v1/kv/b:changes?wait=1s'), 503, 'overloaded');
    expect((await few.head('/v1/watch/b')).status).toBe(503);
    readers[0]!.close();
    for (let status = 503; status === 503; ) {
      const reader = await EventReader.open(`${few.url}/v1/watch/b`);
      status = reader.status;
      if (status === 200) reader.close();
    }
    readers[1]!.close();
    await few.stop();
    expect(few.faults).toEqual([]);
  });

  test('when the service stops every watch is told `end` with the revision to resume from, and polls are answered', async () => {
    const stopping = await new KvUnderTest().start();
    await stopping.wrote('/v1/kv/b/k', '1');
    const readers = [
      await EventReader.open(`${stopping.url}/v1/watch/b`),
      await EventReader.open(`${stopping.url}/v1/watch/b`, NDJSON),
    ];
    const revision = await stopping.wrote('/v1/kv/b/k', '2');
    const poll = stopping.get(`/v1/kv/b:changes?since=${revision}&wait=60s`);
    for (const reader of readers) await reader.untilChanges(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await stopping.stop();
    for (const reader of readers) {
      expect(await reader.until('end')).toEqual({ type: 'end', revision, reason: 'stopping' });
      await reader.untilOver();
      expect(reader.hasEnded).toBe(true);
    }
    expect(readers[0]!.lastId).toBe(String(revision));
    expect((await poll).json).toEqual({ events: [], revision, more: false });
    await stopping.start();
    const resumed = await EventReader.open(`${stopping.url}/v1/watch/b`, { 'last-event-id': String(revision) });
    await stopping.wrote('/v1/kv/b/k', '3');
    expect((await resumed.untilChanges(1))[0].value).toBe('3');
    resumed.close();
    await stopping.stop();
    expect(stopping.faults).toEqual([]);
  });
});
