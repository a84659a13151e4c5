import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bus, type BusRequest, connectBus } from '@plinth/bus';
import { kv as contract, type Operation } from '@plinth/contracts';
import { changesSubject } from '@plinth/contracts/kv';
import { Problem } from '@plinth/problem';
import { eventually, withNats } from '@plinth/testkit';
import type { ChangeNotice } from '../../src/bus.ts';
import { KvUnderTest } from './kv-under-test.ts';

const nats = withNats();
let kv: KvUnderTest;
let bus: Bus;

beforeAll(async () => {
  kv = await new KvUnderTest({ env: { NATS_URL: nats.url } }).start();
  bus = await connectBus({ url: nats.url, name: 'test' });
});

afterAll(async () => {
  await bus.close();
  await kv.stop();
  expect(kv.faults).toEqual([]);
});

const ask = (operation: Operation<never, never> | Operation, request: BusRequest) =>
  bus.request(operation as Operation, request);
const text = ({ body }: { body: Uint8Array }) => Buffer.from(body).toString();
const json = (reply: { body: Uint8Array }) => JSON.parse(text(reply));

async function problemOf(asking: Promise<unknown>): Promise<Problem> {
  const thrown = await asking.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(Problem);
  return thrown as Problem;
}

describe('the same operations over the bus', () => {
  test('put, get, head and delete, with their headers', async () => {
    const params = { bucket: 'b', key: 'a/b' };
    const put = await ask(contract.put, {
      params,
      body: 'grüße',
      headers: { 'content-type': 'text/plain', 'kv-meta-x': 'y', 'kv-ttl': '1h' },
    });
    expect([put.status, put.headers.location]).toEqual([201, '/v1/kv/b/a/b']);
    const get = await ask(contract.get, { params });
    expect([get.status, text(get)]).toEqual([200, 'grüße']);
    expect(get.headers).toMatchObject({ 'content-type': 'text/plain', 'kv-meta-x': 'y', etag: put.headers.etag });
    expect((await kv.get('/v1/kv/b/a/b')).headers.get('etag')).toBe(put.headers.etag);
    const seen = await ask(contract.get, { params, headers: { 'if-none-match': put.headers.etag! } });
    expect([seen.status, seen.body.length]).toEqual([304, 0]);
    expect((await ask(contract.head, { params })).headers['kv-version']).toBe('1');
    expect((await ask(contract.remove, { params })).headers['kv-deleted']).toBe('1');
  });

  test('binary keys and values arrive as they were sent', async () => {
    const params = { bucket: 'b', key: '\xff\x01' };
    const body = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await ask(contract.put, { params, body });
    expect((await kv.get('/v1/kv/b/%ff%01')).bytes).toEqual(Buffer.from(body));
    expect(Buffer.from((await ask(contract.get, { params })).body)).toEqual(Buffer.from(body));
  });

  test('lists, transactions, batches, increments and changes', async () => {
    const params = { bucket: 'many' };
    const then = [0, 1, 2].map((at) => ({ op: 'put', key: `k${at}`, value: String(at) }));
    const txn = json(await ask(contract.txn, { params, body: JSON.stringify({ then }) }));
    expect(txn.succeeded).toBe(true);
    const page = json(await ask(contract.list, { params, query: { limit: 2, values: true } }));
    expect(page.items.map(({ value }: { value: string }) => value)).toEqual(['0', '1']);
    const rest = json(await ask(contract.list, { params, query: { limit: 2, values: true, cursor: page.cursor } }));
    expect(rest.items).toHaveLength(1);
    expect(json(await ask(contract.incr, { params: { ...params, key: 'k2' }, body: '{"by":40}' })).value).toBe(42);
    const waiting = ask(contract.changes, { params, query: { since: txn.revision + 1, wait: '4s' } });
    await kv.wrote('/v1/kv/many/later', 'v');
    expect(json(await waiting).events).toMatchObject([{ key: 'later' }]);
    const results = json(
      await ask(contract.batch, { params, body: JSON.stringify({ operations: [{ op: 'get', key: 'k2' }] }) }),
    ).results;
    expect(results[0].entry.value).toBe('42');
  });

  test('buckets and snapshots', async () => {
    const made = await ask(contract.putBucket, { params: { bucket: 'made' }, body: '{"historyCount":3}' });
    expect([made.status, json(made).settings.historyCount]).toEqual([201, 3]);
    const { id } = json(await ask(contract.createSnapshot, {}));
    expect(json(await ask(contract.restoreSnapshot, { params: { id } })).revision).toBeGreaterThan(0);
    await ask(contract.removeSnapshot, { params: { id } });
  });

  test('problems are the same problems, with their members', async () => {
    const missing = await problemOf(ask(contract.get, { params: { bucket: 'b', key: 'missing' } }));
    expect([missing.code, missing.status]).toEqual(['key_not_found', 404]);
    await kv.wrote('/v1/kv/b/k', 'v');
    const stale = await problemOf(
      ask(contract.put, { params: { bucket: 'b', key: 'k' }, headers: { 'if-match': '"1"' } }),
    );
    expect([stale.code, stale.members.revision]).toEqual(['precondition_failed', expect.any(Number)]);
    const unknown = await problemOf(ask(contract.list, { params: { bucket: 'b' }, query: { prefx: 'a' } }));
    expect([unknown.code, unknown.issues[0]!.path]).toEqual(['invalid_request', '/query/prefx']);
    const key = await problemOf(ask(contract.put, { params: { bucket: 'b', key: 'a/../b' }, body: 'v' }));
    expect(key.code).toBe('invalid_key');
    const body = await problemOf(ask(contract.txn, { params: { bucket: 'b' }, body: '{"then":[{"op":"x"}]}' }));
    expect(body.issues[0]!.path).toBe('/then/0/op');
  });

  test('a value that does not fit into a message is refused by name; it can be read over HTTP', async () => {
    await kv.wrote('/v1/kv/b/large', Buffer.alloc(1_048_576, 'x'));
    const problem = await problemOf(ask(contract.get, { params: { bucket: 'b', key: 'large' } }));
    expect(problem.message).toMatch(/HTTP|message|payload/i);
    expect(
      (await ask(contract.get, { params: { bucket: 'b', key: 'large' }, headers: { range: 'bytes=0-9' } })).body.length,
    ).toBe(10);
  });
});

describe('change notices', () => {
  async function notices(bucket: string) {
    const found: ChangeNotice[] = [];
    bus.subscribe(
      changesSubject(bucket),
      (event) => void found.push(JSON.parse(Buffer.from(event.payload).toString())),
    );
    await bus.flush();
    return found;
  }

  test('a change is announced with its key and revision, without its value, and the notices form a chain', async () => {
    await kv.wrote('/v1/kv/told/before', 'v');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const found = await notices('told');
    const revisions = [await kv.wrote('/v1/kv/told/a', 'secret')];
    await eventually(() => found.length === 1);
    revisions.push(await kv.wrote('/v1/kv/told/%ff', 'secret'));
    await kv.delete('/v1/kv/told/a');
    await eventually(() => found.at(-1)!.changes.at(-1)?.type === 'delete');
    const changes = found.flatMap((notice) => notice.changes);
    expect(changes[0]).toEqual({ type: 'put', key: 'a', revision: revisions[0] });
    expect(changes[1]).toEqual({ type: 'put', keyBase64: '/w==', revision: revisions[1] });
    expect(changes[2]).toMatchObject({ type: 'delete', key: 'a' });
    for (const [at, notice] of found.entries()) {
      expect(notice.bucket).toBe('told');
      if (at > 0) expect(notice.previousRevision).toBe(found[at - 1]!.revision);
    }
    expect(JSON.stringify(found)).not.toContain('secret');
  });

  test('every change is in exactly one notice, however fast they come', async () => {
    await kv.bucket('fast');
    const found = await notices('fast');
    const writes = await Promise.all(Array.from({ length: 300 }, (_, at) => kv.wrote(`/v1/kv/fast/${at}`, 'v')));
    await eventually(() => found.at(-1)?.revision === Math.max(...writes));
    const revisions = found.flatMap(({ changes }) => changes.map(({ revision }) => revision));
    expect(revisions).toEqual(writes.toSorted((a, b) => a - b));
  });

  test('more than 500 keys at once are not all named, and the notice says so', async () => {
    await kv.bucket('wide');
    const found = await notices('wide');
    const then = Array.from({ length: 600 }, (_, at) => ({ op: 'put', key: `k${at}`, value: 'v' }));
    const { revision } = (await kv.post('/v1/kv/wide:txn', { then })).json;
    await eventually(() => found.at(-1)?.revision === revision);
    expect(found[0]).toMatchObject({ truncated: true, revision });
    expect(found[0]!.changes).toHaveLength(500);
  });

  test('a restore is announced as a notice that names no keys, so that everyone reads anew', async () => {
    await kv.wrote('/v1/kv/restored/k', '1');
    const { id } = (await kv.post('/v1/snapshots')).json;
    const revision = await kv.wrote('/v1/kv/restored/k', '2');
    await new Promise((resolve) => setTimeout(resolve, 50));
    const found = await notices('restored');
    await kv.post(`/v1/snapshots/${id}:restore`);
    await eventually(() => found.length > 0);
    expect(found[0]).toMatchObject({ bucket: 'restored', previousRevision: revision, changes: [], truncated: true });
    await kv.wrote('/v1/kv/restored/k', '3');
    await eventually(() => found.length > 1);
    expect(found[1]!.previousRevision).toBe(found[0]!.revision);
  });

  test('while the bus is away writes go on over HTTP, and readers see the gap when it is back', async () => {
    await kv.wrote('/v1/kv/gap/a', '1');
    const found = await notices('gap');
    const before = await kv.wrote('/v1/kv/gap/b', '1');
    await eventually(() => found.at(-1)?.revision === before);
    const told = found.length;
    await nats.stop();
    const missed = await kv.wrote('/v1/kv/gap/c', '1');
    expect((await kv.get('/readyz')).json.parts).toMatchObject({ service: 'ready' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await nats.start();
    await eventually(() => bus.notReady() === undefined, { timeoutMs: 10_000 });
    await eventually(async () => (await kv.get('/readyz')).status === 200, { timeoutMs: 10_000 });
    await eventually(
      async () => {
        await kv.wrote('/v1/kv/gap/d', '1');
        return found.length > told;
      },
      { timeoutMs: 10_000, intervalMs: 100 },
    );
    expect(found[told]!.previousRevision).toBeGreaterThanOrEqual(missed);
    expect(found[told]!.previousRevision).not.toBe(before);
    const { events } = (await kv.get(`/v1/kv/gap:changes?since=${before}`)).json;
    expect(events[0]).toMatchObject({ key: 'c', revision: missed });
  });
});
