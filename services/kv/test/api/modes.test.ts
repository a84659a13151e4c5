// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { eventually, ManualClock } from '@plinth/testkit';
import { problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now });

describe('durable buckets', () => {
  test('answers say nothing of durability: what was answered stays', async () => {
    expect((await kv.put('/v1/kv/safe/k', 'v')).headers.get('kv-durability')).toBeNull();
  });
});

describe('write-back buckets', () => {
  test('every write says how much an answered write may be lost by', async () => {
    await kv.bucket('wb', { mode: 'write-back', flushMs: 250 });
    const told = 'write-back; flushMs=250';
    const answers = [
      await kv.put('/v1/kv/wb/k', '1'),
      await kv.post('/v1/kv/wb/k:incr'),
      await kv.call('PATCH', '/v1/kv/wb/k', { json: 1 }),
      await kv.post('/v1/kv/wb/k:touch'),
      await kv.post('/v1/kv/wb:batch', { operations: [{ op: 'put', key: 'a', value: '1' }] }),
      await kv.post('/v1/kv/wb:txn', { then: [{ op: 'put', key: 'b', value: '1' }] }),
      await kv.call('POST', '/v1/kv/wb:import', {
        headers: { 'content-type': 'application/x-ndjson' },
        body: '{"key":"c","value":"1"}\n',
      }),
      await kv.delete('/v1/kv/wb?prefix=c'),
      await kv.delete('/v1/kv/wb/b'),
    ];
    for (const answer of answers) {
      expect(answer.status).toBeLessThan(300);
      expect(answer.headers.get('kv-durability')).toBe(told);
    }
  });

  test('what was written is there after a stop and a start, and revisions go on', async () => {
    await kv.bucket('wb', { mode: 'write-back', flushMs: 60_000 });
    const revision = await kv.wrote('/v1/kv/wb/kept', 'v');
    await kv.restart();
    const { text, headers } = await kv.get('/v1/kv/wb/kept');
    expect([text, headers.get('kv-revision')]).toEqual(['v', String(revision)]);
    expect(await kv.wrote('/v1/kv/wb/kept', 'w', { 'if-match': `"${revision}"` })).toBeGreaterThan(revision);
  });
});

describe('cache buckets', () => {
  test('the least recently used make room: neither what was read nor what was written lately', async () => {
    await kv.bucket('lru', { mode: 'cache', bytesMax: 30_000 });
    const value = 'x'.repeat(1_000);
    for (let at = 0; at < 10; at++) await kv.wrote(`/v1/kv/lru/old${at}`, value);
    await kv.get('/v1/kv/lru/old0');
    let keys = await kv.keys('lru');
    for (let at = 10; keys.includes('old1') && at < 60; at++) {
      await kv.wrote(`/v1/kv/lru/new${at}`, value);
      keys = await kv.keys('lru');
    }
    expect(keys).not.toContain('old1');
    expect(keys).toEqual(expect.arrayContaining(['old0', 'new10']));
    expect(keys.length).toBeGreaterThan(5);
    const { bytes } = (await kv.get('/v1/buckets/lru')).json;
    expect(bytes).toBeLessThanOrEqual(30_000);
  });

  test('writes are never refused for want of room, and the bound holds after ten times as much', async () => {
    await kv.bucket('full', { mode: 'cache', bytesMax: 100_000 });
    for (let round = 0; round < 10; round++) {
      const operations = Array.from({ length: 100 }, (_, at) => ({
        op: 'put',
        key: `${round}-${at}`,
        value: 'x'.repeat(1_000),
      }));
      const { results } = (await kv.post('/v1/kv/full:batch', { operations })).json;
      expect(results.every(({ status }: { status: number }) => status === 201)).toBe(true);
    }
    await kv.wrote('/v1/kv/full/last', 'v');
    expect((await kv.get('/v1/buckets/full')).json.bytes).toBeLessThanOrEqual(100_000);
  });

  test('answers say that it is only memory, and TTLs hold', async () => {
    await kv.bucket('mem', { mode: 'cache', bytesMax: 100_000, ttlMs: 5_000 });
    expect((await kv.put('/v1/kv/mem/k', 'v')).headers.get('kv-durability')).toBe('memory');
    clock.advance(4_999);
    expect((await kv.get('/v1/kv/mem/k')).text).toBe('v');
    clock.advance(1);
    problemIn(await kv.get('/v1/kv/mem/k'), 404, 'key_not_found');
  });

  test('preconditions, reads of the past and watches work with its revisions, though they are large', async () => {
    await kv.bucket('pre', { mode: 'cache', bytesMax: 100_000 });
    const first = await kv.wrote('/v1/kv/pre/k', '1');
    const second = await kv.wrote('/v1/kv/pre/k', '2', { 'if-match': `"${first}"` });
    problemIn(await kv.put('/v1/kv/pre/k', 'x', { 'if-match': `"${first}"` }), 412, 'precondition_failed');
    expect((await kv.get('/v1/kv/pre/k', { 'if-none-match': `"${second}"` })).status).toBe(304);
    expect((await kv.get(`/v1/kv/pre/k?rev=${first}`)).text).toBe('1');
    const { events } = (await kv.get(`/v1/kv/pre:changes?since=${first}`)).json;
    expect(events).toMatchObject([{ value: '2', revision: second }]);
    const poll = await kv.get('/v1/watch/pre?wait=1s', { accept: 'application/json', 'last-event-id': String(first) });
    expect(poll.json.events).toMatchObject([{ revision: second }]);
    const { results } = (
      await kv.post('/v1/kv/pre:txn', { if: [{ key: 'k', revision: second }], then: [{ op: 'get', key: 'k' }] })
    ).json;
    expect(results[0].entry.value).toBe('2');
    expect((await kv.post(`/v1/kv/pre:compact?rev=${second}`)).json.compactedRevision).toBe(second);
  });

  test('its entries are gone after a restart, the bucket is not, and no revision is given twice', async () => {
    await kv.bucket('gone', { mode: 'cache', bytesMax: 50_000 });
    const revision = await kv.wrote('/v1/kv/gone/k', 'v');
    await kv.restart();
    expect((await kv.get('/v1/buckets/gone')).json).toMatchObject({
      keys: 0,
      settings: { mode: 'cache', bytesMax: 50_000 },
    });
    problemIn(await kv.get('/v1/kv/gone/k'), 404, 'key_not_found');
    // Also with a clock that stands still.
    const next = await kv.wrote('/v1/kv/gone/k', 'v');
    expect(next).toBeGreaterThan(revision);
    problemIn(await kv.put('/v1/kv/gone/k', 'x', { 'if-match': `"${revision}"` }), 412, 'precondition_failed');
  });

  test('what is evicted is told to watchers', async () => {
    await kv.bucket('evicted', { mode: 'cache', bytesMax: 5_000 });
    const first = await kv.wrote('/v1/kv/evicted/0', 'x'.repeat(1_000));
    const poll = kv.get(`/v1/kv/evicted:changes?since=${first}&wait=1s`);
    for (let at = 1; at < 8; at++) await kv.put(`/v1/kv/evicted/${at}`, 'x'.repeat(1_000));
    await poll;
    const keys = await eventually(async () => {
      const found = await kv.keys('evicted');
      return found.length < 8 && found;
    });
    expect(keys).not.toContain('0');
  });
});
