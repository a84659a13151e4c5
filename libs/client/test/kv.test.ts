/** The client against the real service, by both doors. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connectBus } from '@plinth/bus';
import { withNats } from '@plinth/testkit';
import { type Client, createClient, type Entry, type KvBucket, type Watch, type WatchItem } from '../src/client.ts';
import { type KvProcess, startKv } from './kv-process.ts';

const nats = withNats();
let kv: KvProcess;

beforeAll(async () => {
  kv = await startKv({ NATS_URL: nats.url, KV_WATCH_HEARTBEAT_MS: '200' });
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function first(count: number, watch: Watch): Promise<WatchItem[]> {
  const items: WatchItem[] = [];
  for await (const item of watch) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

const keysOf = (items: readonly { key: string }[]) => items.map(({ key }) => key).join();
const inShort = (items: WatchItem[]) => items.map(({ type, events }) => `${type} ${keysOf(events)}`);

describe.each(['HTTP', 'NATS'] as const)('over %s', (door) => {
  let client: Client;
  let bucket: KvBucket;

  beforeAll(async () => {
    client = createClient(door === 'HTTP' ? { url: kv.url } : { nats: { url: nats.url } });
    await client.kv.putBucket(`by-${door.toLowerCase()}`, { historyCount: 8 });
    bucket = client.kv.bucket(`by-${door.toLowerCase()}`);
  });
  afterAll(() => client.close());

  test('a value comes back as it was put, with all that is known of it', async () => {
    const written = await bucket.put('hello', 'wörld', {
      ttl: '1h',
      contentType: 'text/plain',
      metadata: { owner: 'ann' },
    });
    expect(written).toMatchObject({ created: true, version: 1, revision: expect.any(Number) });
    const entry = (await bucket.get('hello')) as Entry;
    expect(entry.text()).toBe('wörld');
    expect(entry).toMatchObject({ key: 'hello', version: 1, sizeBytes: 6, contentType: 'text/plain' });
    expect(entry.revision).toBe(written.revision);
    expect(entry.metadata).toEqual({ owner: 'ann' });
    expect(entry.expiresAt).toEqual(written.expiresAt);
    expect(entry.expiresAt!.getTime() - Date.now()).toBeGreaterThan(3_500_000);
    expect(entry.modifiedAt!.getTime()).toBeGreaterThan(Date.now() - 60_000);
  });

  test('what is not there is undefined, and head brings no value', async () => {
    expect(await bucket.get('nothing')).toBeUndefined();
    expect(await bucket.head('nothing')).toBeUndefined();
    expect(await bucket.history('nothing')).toEqual([]);
    await bucket.putJson('json', { a: [1] });
    const head = (await bucket.head('json')) as Entry;
    expect(head).toMatchObject({ sizeBytes: 9, contentType: 'application/json', hasValue: false });
    expect(() => head.bytes).toThrow(TypeError);
    expect((await bucket.get('json'))?.json()).toEqual({ a: [1] });
  });

  test('an empty value is a value', async () => {
    await bucket.put('empty', '');
    expect((await bucket.get('empty'))?.bytes).toHaveLength(0);
    await bucket.put('empty', new Uint8Array());
    expect((await bucket.batch([{ op: 'get', key: 'empty' }]))[0]!.entry?.text()).toBe('');
  });

  test('a bucket that is not there is a problem, not an absent key', async () => {
    await expect(client.kv.bucket('no-such').get('a')).rejects.toMatchObject({ code: 'bucket_not_found' });
  });

  test.each([
    ['odd characters', 'a b/ü?#%:incr'],
    ['bytes that are no UTF-8', Uint8Array.from([0xff, 0x80, 0x2f, 0xfe])],
  ])('keys of %s are themselves everywhere', async (_, key) => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await bucket.put(key, bytes);
    expect((await bucket.get(key))?.bytes).toEqual(Buffer.from(bytes));
    const listed = (await all(bucket.list({ values: true }).entries())).find((entry) =>
      Buffer.from(key as string).equals(entry.keyBytes),
    );
    expect(listed?.bytes).toEqual(Buffer.from(bytes));
    expect((await bucket.batch([{ op: 'get', key }]))[0]!.entry?.bytes).toEqual(Buffer.from(bytes));
    expect(await bucket.delete(key)).toBe(true);
    expect(await bucket.delete(key)).toBe(false);
  });

  test('conditions hold or are a problem with the present revision', async () => {
    const { revision } = await bucket.put('cas', '1', { ifAbsent: true });
    await expect(bucket.put('cas', '2', { ifAbsent: true })).rejects.toMatchObject({
      code: 'precondition_failed',
      members: { revision },
    });
    await bucket.put('cas', '2', { ifRevision: revision });
    await expect(bucket.put('cas', '3', { ifRevision: revision })).rejects.toMatchObject({
      code: 'precondition_failed',
    });
    await expect(bucket.put('absent', 'x', { ifExists: true })).rejects.toMatchObject({ code: 'precondition_failed' });
  });

  test('numbers, merges and lives', async () => {
    expect((await bucket.incr('n', { by: 5, max: 9 })).value).toBe(5);
    await expect(bucket.incr('n', { by: 5, max: 9 })).rejects.toMatchObject({
      code: 'out_of_bounds',
      members: { value: 5 },
    });
    await bucket.patch('doc', { a: 1, b: { c: 2 } });
    await bucket.patch('doc', { b: { c: null, d: 3 } }, { ttlMs: 60_000 });
    expect((await bucket.get('doc'))?.json()).toEqual({ a: 1, b: { d: 3 } });
    expect((await bucket.touch('doc')).expiresAt).toBeUndefined();
    expect((await bucket.get('doc'))?.expiresAt).toBeUndefined();
    await expect(bucket.touch('no-doc')).rejects.toMatchObject({ code: 'key_not_found' });
  });

  test('one idempotency key is one increment', async () => {
    const options = { idempotencyKey: `once-${door}` };
    const { value } = await bucket.incr('once', options);
    expect(await bucket.incr('once', options)).toMatchObject({ value });
    await expect(bucket.incr('once', { ...options, by: 2 })).rejects.toMatchObject({ code: 'idempotency_mismatch' });
  });

  test('the past can be read', async () => {
    const { revision } = await bucket.put('past', 'one');
    await bucket.put('past', 'two');
    await bucket.delete('past');
    expect((await bucket.getAt('past', { rev: revision }))?.text()).toBe('one');
    expect(await bucket.getAt('past', { rev: revision - 1 })).toBeUndefined();
    const versions = await bucket.history('past', { values: true });
    expect(versions.map(({ type, entry }) => entry?.text() ?? type)).toEqual(['delete', 'two', 'one']);
  });

  test('pages are one list at one revision', async () => {
    for (const n of [1, 2, 3, 4, 5]) await bucket.put(`page/${n}`, String(n));
    const list = bucket.list({ prefix: 'page/', limit: 2, values: true });
    const pages: string[] = [];
    for await (const page of list) {
      if (pages.length === 0) await bucket.put('page/2a', 'late');
      pages.push(page.entries.map((entry) => entry.text()).join());
    }
    expect(pages).toEqual(['1,2', '3,4', '5']);
    expect(keysOf(await all(bucket.list({ start: 'page/4', end: 'page/6', reverse: true }).entries()))).toBe(
      'page/5,page/4',
    );
    const folders = await bucket.list({ delimiter: '/', prefix: 'p' }).page();
    expect(folders).toMatchObject({ prefixes: ['page/'], cursor: undefined });
    expect(await bucket.count({ prefix: 'page/' })).toBe(6);
    expect(await bucket.deleteRange({ prefix: 'page/' })).toMatchObject({ deleted: 6, more: false });
  });

  test('a batch answers for each, a transaction for all', async () => {
    const results = await bucket.batch([
      { op: 'put', key: 'b', value: Buffer.from([0xff]), ttlMs: 60_000, metadata: { a: 'b' } },
      { op: 'put', key: 'b', json: 1, ifAbsent: true },
      { op: 'incr', key: 'b-n', by: 7 },
    ]);
    expect(results.map(({ status }) => status)).toEqual([201, 412, 200]);
    expect(results[1]!.problem).toMatchObject({ code: 'precondition_failed' });
    expect(results[2]!.value).toBe(7);
    const moved = await bucket.txn({
      if: [
        { key: 'b', value: Buffer.from([0xff]) },
        { key: 'b-new', exists: false },
      ],
      // biome-ignore lint/suspicious/noThenProperty: the API's word.
      then: [
        { op: 'get', key: 'b' },
        { op: 'put', key: 'b-new', value: 'x' },
        { op: 'delete', key: 'b' },
      ],
    });
    expect(moved).toMatchObject({ succeeded: true, failedChecks: [] });
    expect(moved.results[0]!.entry?.metadata).toEqual({ a: 'b' });
    const strict = bucket.txn({ if: [{ key: 'b', exists: true }] }, { strict: true });
    await expect(strict).rejects.toMatchObject({ code: 'precondition_failed' });
  });

  test('a watch tells whole revisions from the moment it stands', async () => {
    const watch = await bucket.watch({ prefix: 'w/' }).opened();
    await bucket.put('w/1', 'one');
    await bucket.put('elsewhere', 'x');
    await bucket.txn({
      // biome-ignore lint/suspicious/noThenProperty: the API's word.
      then: [
        { op: 'put', key: 'w/2', value: 'two' },
        { op: 'delete', key: 'w/1' },
      ],
    });
    const [one, two] = await first(2, watch);
    expect(one).toMatchObject({ type: 'revision', revision: one!.events[0]!.revision });
    expect(one!.events[0]!.entry?.text()).toBe('one');
    expect(two!.events.map(({ type, key }) => `${type} ${key}`)).toEqual(['put w/2', 'delete w/1']);
  });

  test('a watch of the present state goes on with changes', async () => {
    for (const n of [1, 2, 3]) await bucket.put(`i/${n}`, String(n));
    const watch = bucket.watch({ prefix: 'i/', initial: true });
    const items: WatchItem[] = [];
    for await (const item of watch) {
      items.push(item);
      if (item.type === 'sync') await bucket.delete('i/2');
      if (item.type === 'revision') break;
    }
    expect(inShort(items)).toEqual(['initial i/1', 'initial i/2', 'initial i/3', 'sync ', 'revision i/2']);
  });

  test('a place that was compacted is a problem, or a new beginning', async () => {
    const { revision } = await bucket.put('gone', '1');
    await bucket.put('gone', '2');
    expect((await bucket.compact()).compactedRevision).toBeGreaterThan(revision);
    await expect(first(1, bucket.watch({ since: revision }))).rejects.toMatchObject({ code: 'revision_compacted' });
    const watch = bucket.watch({ since: revision, resync: true, prefix: 'gone' });
    expect(inShort(await first(3, watch))).toEqual(['reset ', 'initial gone', 'sync ']);
  });

  test('buckets and snapshots', async () => {
    const name = `made-by-${door.toLowerCase()}`;
    expect(await client.kv.putBucket(name, { ttlMs: 60_000 })).toMatchObject({ name, settings: { ttlMs: 60_000 } });
    await client.kv.bucket(name).put('a', 'before');
    const { id } = await client.kv.createSnapshot();
    await client.kv.bucket(name).put('a', 'after');
    expect((await client.kv.listSnapshots()).map((snapshot) => snapshot.id)).toContain(id);
    await client.kv.restoreSnapshot(id);
    expect((await client.kv.bucket(name).get('a'))?.text()).toBe('before');
    await client.kv.deleteSnapshot(id);
    await expect(client.kv.restoreSnapshot(id)).rejects.toMatchObject({ code: 'snapshot_not_found' });
    expect((await client.kv.bucket(name).info()).keys).toBe(1);
    expect((await client.kv.listBuckets()).map((bucket) => bucket.name)).toContain(name);
    await client.kv.deleteBucket(name);
    await expect(client.kv.bucket(name).info()).rejects.toMatchObject({ code: 'bucket_not_found' });
  });

  test('a watch ends when its bucket is deleted', async () => {
    const name = `short-${door.toLowerCase()}`;
    await client.kv.putBucket(name);
    const watch = await client.kv.bucket(name).watch().opened();
    const read = expect(first(1, watch)).rejects.toMatchObject({ code: 'bucket_not_found' });
    await client.kv.deleteBucket(name);
    await read;
  });
});

describe('only over HTTP', () => {
  let client: Client;
  beforeAll(() => {
    client = createClient({ url: kv.url });
  });
  afterAll(() => client.close());

  test('what is exported can be imported, bytes and all', async () => {
    const source = client.kv.bucket('source');
    await source.batch(Array.from({ length: 700 }, (_, n) => ({ op: 'put', key: `k/${n}`, value: 'x'.repeat(1_000) })));
    await source.put(Uint8Array.from([0xff]), Uint8Array.from([0xfe]), { metadata: { a: 'b' } });
    const target = client.kv.bucket('target');
    expect((await target.import(source.export())).imported).toBe(701);
    const [exported, imported] = [await all(source.export()), await all(target.export())];
    const content = ({ keyBytes, bytes, metadata }: Entry) => [keyBytes, bytes, metadata];
    expect(imported.map(content)).toEqual(exported.map(content));
    expect((await target.import([{ key: 'made', json: { by: 'hand' }, ttl: '1h' }])).imported).toBe(1);
    expect((await target.get('made'))?.json()).toEqual({ by: 'hand' });
  });

  test('a refused line of an import says which', async () => {
    const bad = [
      { key: 'a', value: 'x' },
      { key: '', value: 'x' },
    ];
    await expect(client.kv.bucket('bad').import(bad)).rejects.toMatchObject({
      code: 'invalid_key',
      members: { line: 2 },
    });
  });

  test('a watch tells the entry that was there before', async () => {
    const bucket = client.kv.bucket('before');
    await bucket.put('a', 'one');
    const watch = await bucket.watch({ previous: true }).opened();
    await bucket.put('a', 'two');
    const [item] = await first(1, watch);
    expect(item!.events[0]!.previous?.text()).toBe('one');
    expect(item!.events[0]!.previous?.key).toBe('a');
  });
});

test('a bus that is given is used and stays open', async () => {
  const bus = await connectBus({ url: nats.url, name: 'client-test' });
  const client = createClient({ nats: bus });
  await client.kv.bucket('given').put('a', 'x');
  await expect(all(client.kv.bucket('given').export())).rejects.toMatchObject({ code: 'not_acceptable' });
  await client.close();
  await expect(client.kv.bucket('given').get('a')).rejects.toThrow('this client is closed');
  expect(bus.notReady()).toBeUndefined();
  await bus.close();
});

describe.each(['HTTP', 'NATS'] as const)('over %s, when the service is killed and comes back', (door) => {
  test('a watch misses nothing and increments count once', async () => {
    const client = createClient({
      retries: 30,
      timeoutMs: 30_000,
      ...(door === 'HTTP' ? { url: kv.url } : { nats: { url: nats.url } }),
    });
    const bucket = client.kv.bucket(`killed-${door.toLowerCase()}`);
    await bucket.put('n', '0');
    const watch = await bucket.watch({ prefix: 'n' }).opened();
    const values: number[] = [];
    const read = (async () => {
      for await (const { events } of watch) {
        values.push(...events.map(({ entry }) => Number(entry!.text())));
        if (values.at(-1) === 60) return;
      }
    })();
    const killed = (async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      await kv.kill();
      await kv.start();
    })();
    for (let n = 1; n <= 60; n++) {
      expect((await bucket.incr('n')).value).toBe(n);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await Promise.all([killed, read]);
    expect(values).toEqual(Array.from({ length: 60 }, (_, n) => n + 1));
    await client.close();
  });
});
