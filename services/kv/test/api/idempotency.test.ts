// biome-ignore-all lint/suspicious/noThenProperty: the API's word; no such object is awaited.
import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '@plinth/testkit';
import { problemIn, withKv } from './kv-under-test.ts';

const clock = new ManualClock();
const kv = withKv({ now: clock.now });
const once = (id: string) => ({ 'idempotency-key': id });
const replayed = ({ headers }: { headers: Headers }) => headers.get('idempotency-replayed');

describe('Idempotency-Key', () => {
  test('of a batch belongs to all of it: a longer one with the same key does nothing', async () => {
    const put = (key: string) => ({ op: 'put', key, value: 'v' });
    const [short, long] = [[put('b1')], [put('b1'), put('b2')]];
    const first = await kv.post('/v1/kv/b:batch', { operations: short }, once('batch-1'));
    problemIn(await kv.post('/v1/kv/b:batch', { operations: long }, once('batch-1')), 409, 'idempotency_mismatch');
    expect((await kv.get('/v1/kv/b/b2')).status).toBe(404);
    expect((await kv.post('/v1/kv/b:batch', { operations: short }, once('batch-1'))).json).toEqual(first.json);
  });

  test('a repeated put answers what the first one answered and writes nothing', async () => {
    const first = await kv.put('/v1/kv/b/k', 'v', once('put-1'));
    await kv.wrote('/v1/kv/b/k', 'somebody else');
    const again = await kv.put('/v1/kv/b/k', 'v', once('put-1'));
    expect([first.status, again.status]).toEqual([201, 201]);
    expect([replayed(first), replayed(again)]).toEqual([null, 'true']);
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
    expect((await kv.get('/v1/kv/b/k')).text).toBe('somebody else');
  });

  test('an increment that is repeated counts once, also when the repeats come at the same moment', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => kv.post('/v1/kv/b/n:incr', { by: 5 }, once('incr-1'))),
    );
    expect(answers.map(({ json }) => json.value)).toEqual(Array(20).fill(5));
    expect(answers.filter((answer) => replayed(answer) === 'true')).toHaveLength(19);
    expect((await kv.get('/v1/kv/b/n')).text).toBe('5');
  });

  test.each([
    ['patch', () => kv.call('PATCH', '/v1/kv/each/patch', { json: { a: 1 }, headers: once('p') })],
    ['delete', () => kv.delete('/v1/kv/each/delete', once('d'))],
    ['touch', () => kv.post('/v1/kv/each/touch:touch', undefined, { ...once('t'), 'kv-ttl': '1h' })],
    ['range delete', () => kv.delete('/v1/kv/each?prefix=range', once('r'))],
    ['transaction', () => kv.post('/v1/kv/each:txn', { then: [{ op: 'incr', key: 'txn' }] }, once('x'))],
    ['batch', () => kv.post('/v1/kv/each:batch', { operations: [{ op: 'incr', key: 'batch' }] }, once('b'))],
  ])('a repeated %s is answered alike, and says that it is a repeat', async (name, ask) => {
    for (const key of ['delete', 'touch', 'range1', 'range2']) await kv.wrote(`/v1/kv/each/${key}`, 'v');
    const first = await ask();
    clock.advance(1_000);
    const second = await ask();
    expect([first.status, first.text]).toEqual([second.status, second.text]);
    expect([name, replayed(first), replayed(second)]).toEqual([name, null, 'true']);
  });

  test('the key of another request is a 409: other value, other key, other TTL, other condition, other operation', async () => {
    await kv.put('/v1/kv/b/m', 'v', { ...once('same'), 'kv-ttl': '1h' });
    const others = [
      await kv.put('/v1/kv/b/m', 'w', { ...once('same'), 'kv-ttl': '1h' }),
      await kv.put('/v1/kv/b/other', 'v', { ...once('same'), 'kv-ttl': '1h' }),
      await kv.put('/v1/kv/b/m', 'v', { ...once('same'), 'kv-ttl': '2h' }),
      await kv.put('/v1/kv/b/m', 'v', { ...once('same'), 'kv-ttl': '1h', 'if-match': '*' }),
      await kv.put('/v1/kv/b/m', 'v', { ...once('same'), 'kv-ttl': '1h', 'content-type': 'text/plain' }),
      await kv.delete('/v1/kv/b/m', once('same')),
      await kv.post('/v1/kv/b:txn', { then: [] }, once('same')),
    ];
    for (const answer of others) problemIn(answer, 409, 'idempotency_mismatch');
    expect((await kv.get('/v1/kv/b/m')).text).toBe('v');
  });

  test('buckets do not share their keys', async () => {
    await kv.put('/v1/kv/one/k', '1', once('shared'));
    expect(replayed(await kv.put('/v1/kv/two/k', '2', once('shared')))).toBeNull();
  });

  test('a refusal is not remembered: what was refused may succeed later', async () => {
    problemIn(await kv.put('/v1/kv/b/later', 'v', { ...once('later'), 'if-match': '*' }), 412, 'precondition_failed');
    await kv.wrote('/v1/kv/b/later', 'now it is there');
    expect((await kv.put('/v1/kv/b/later', 'v', { ...once('later'), 'if-match': '*' })).status).toBe(204);
  });

  test('it is remembered over a restart, for a day and no longer', async () => {
    const first = await kv.put('/v1/kv/b/day', 'v', once('day'));
    await kv.restart();
    clock.advance(24 * 3_600_000 - 2_000);
    const again = await kv.put('/v1/kv/b/day', 'v', once('day'));
    expect([replayed(again), again.headers.get('etag')]).toEqual(['true', first.headers.get('etag')]);
    clock.advance(2_001);
    expect(replayed(await kv.put('/v1/kv/b/day', 'v', once('day')))).toBeNull();
  });

  test('keys of 1 and 255 characters are taken; 256 and spaces are not', async () => {
    expect((await kv.put('/v1/kv/b/len', 'v', once('k'))).status).toBe(201);
    expect((await kv.put('/v1/kv/b/len', 'v', once('k'.repeat(255)))).status).toBe(204);
    for (const id of ['k'.repeat(256), 'two words']) {
      const { issues } = problemIn(await kv.put('/v1/kv/b/len', 'v', once(id)), 400, 'invalid_request');
      expect(issues[0].path).toBe('/headers/idempotency-key');
    }
  });
});
