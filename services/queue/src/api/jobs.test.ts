import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { withRedis } from '@plinth/testkit';
import { type RunningApi, startApi } from './running.fixture.ts';

const redis = withRedis();
let api: RunningApi;
beforeAll(async () => {
  api = await startApi(redis.url);
});
afterAll(() => api.stop());

let queues = 0;
const newQueue = () => `q${++queues}`;
const of = (queue: string, rest = '') => `/v1/queues/${queue}${rest}`;
const enqueue = async (queue: string, ...jobs: object[]): Promise<string[]> =>
  (await api.post(of(queue, '/jobs'), jobs)).body.jobs.map(({ id }: { id: string }) => id);
const states = ({ body }: { body: { jobs: { state: string }[] } }) => body.jobs.map(({ state }) => state);

/** Fails for good. */
async function kill(queue: string, count: number): Promise<void> {
  const jobs = await api.lease(queue, count);
  const fails = jobs.map(({ id, token }) => ({ id, token, error: { message: 'no' }, final: true }));
  await api.post(of(queue, ':ack'), { fails });
}

describe('a job', () => {
  test('that is not there is 404', async () => {
    const queue = newQueue();
    for (const path of ['/jobs/zz', '/jobs/%20']) {
      expect(await api.get(of(queue, path))).toMatchObject({ status: 404, body: { code: 'job_not_found' } });
    }
    await enqueue(queue, { name: 'n' });
    expect((await api.get(of(queue, '/jobs/zz?waitMs=50'))).status).toBe(404);
    expect((await api.post(of(queue, '/jobs/zz:cancel'))).status).toBe(404);
    expect((await api.post(of(queue, '/jobs/zz:promote'))).status).toBe(404);
  });

  test('is waited for until it has ended, or as long as is wanted', async () => {
    const queue = newQueue();
    const [id] = await enqueue(queue, { name: 'n' });
    expect((await api.get(of(queue, `/jobs/${id}?waitMs=50`))).body.state).toBe('waiting');
    const waiting = api.get(of(queue, `/jobs/${id}?waitMs=20000`));
    await pause(100);
    const [job] = await api.lease(queue);
    await api.post(of(queue, ':ack'), { acks: [{ id: job!.id, token: job!.token, result: { ok: true } }] });
    expect((await waiting).body).toMatchObject({ state: 'completed', result: { ok: true } });
  });

  test('is cancelled at once when nobody has it', async () => {
    const queue = newQueue();
    const [id] = await enqueue(queue, { name: 'n' });
    expect(await api.post(of(queue, `/jobs/${id}:cancel`))).toMatchObject({
      status: 200,
      body: { state: 'cancelled' },
    });
    const many = await api.post(of(queue, ':cancel'), { ids: [...(await enqueue(queue, { name: 'n' })), 'zz'] });
    expect(many.body.jobs).toMatchObject([{ state: 'cancelled' }, { id: 'zz', problem: { code: 'job_not_found' } }]);
  });

  test('that is scheduled is made due; one that waits is a conflict', async () => {
    const queue = newQueue();
    const [id] = await enqueue(queue, { name: 'n', delayMs: 60_000 });
    expect((await api.post(of(queue, `/jobs/${id}:promote`))).body).toEqual({ id, state: 'waiting' });
    const refused = await api.post(of(queue, `/jobs/${id}:promote`));
    expect(refused).toMatchObject({ status: 409, body: { code: 'conflict' } });
    expect(refused.body.detail).toContain('is waiting');
  });
});

describe('jobs are found', () => {
  test('by state, name, group, tag and time, page by page', async () => {
    const queue = newQueue();
    await enqueue(
      queue,
      { name: 'a', group: 'g', tags: ['x'] },
      { name: 'b', group: 'ü', delayMs: 60_000 },
      { name: 'a', tags: ['x', 'y'] },
    );
    const find = async (query: string) => api.get(of(queue, `/jobs?${query}`));
    expect(states(await find('name=a'))).toEqual(['waiting', 'waiting']);
    expect(states(await find('state=scheduled,dead'))).toEqual(['scheduled']);
    expect(states(await find('group=%C3%BC'))).toEqual(['scheduled']);
    expect(states(await find('tag=y'))).toEqual(['waiting']);
    expect(states(await find(`from=${Date.now() + 60_000}`))).toEqual([]);
    expect(states(await find(`until=${new Date(Date.now() + 60_000).toISOString()}`))).toHaveLength(3);
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await find(`limit=1${cursor}`);
      seen.push(...body.jobs.map(({ id }: { id: string }) => id));
      cursor = body.cursor === undefined ? '' : `&cursor=${encodeURIComponent(body.cursor)}`;
    } while (cursor !== '');
    expect(new Set(seen).size).toBe(3);
  });

  test.each([
    ['state=wating', '/query/state'],
    ['limit=1001', '/query/limit'],
    ['from=yesterday', '/query/from'],
    ['colour=red', '/query/colour'],
  ])('and %s is refused', async (query, path) => {
    const answer = await api.get(of(newQueue(), `/jobs?${query}`));
    expect(answer).toMatchObject({ status: 400, body: { issues: [{ path }] } });
  });

  test('in a queue that is not there is 404', async () => {
    expect(await api.get(of('nothing', '/jobs'))).toMatchObject({ status: 404, body: { code: 'queue_not_found' } });
  });
});

describe('dead jobs', () => {
  test('are redriven by name, so many at the most', async () => {
    const queue = newQueue();
    await enqueue(queue, { name: 'a' }, { name: 'b' }, { name: 'a' }, { name: 'a' });
    await kill(queue, 4);
    const { body } = await api.post(of(queue, ':redrive'), { name: 'a', max: 2 });
    expect(body).toMatchObject({ redriven: 2, more: true });
    expect(body.ids).toHaveLength(2);
    expect((await api.post(of(queue, ':redrive'))).body).toMatchObject({ redriven: 2, more: false });
    expect((await api.get(of(queue, '/stats'))).body.counts).toMatchObject({ waiting: 4, dead: 0 });
  });

  test('are redriven by their ids', async () => {
    const queue = newQueue();
    const ids = await enqueue(queue, { name: 'a' }, { name: 'b' });
    await kill(queue, 2);
    const { body } = await api.post(of(queue, ':redrive'), { ids: [ids[1]] });
    expect(body).toEqual({ redriven: 1, ids: [ids[1]], more: false });
    expect((await api.post(of(queue, ':redrive'), { ids: ['not an id'] })).status).toBe(400);
    expect((await api.post(of(queue, ':redrive'), { ids: [] })).status).toBe(400);
  });

  test('are redriven at a rate', async () => {
    const queue = newQueue();
    await enqueue(queue, ...Array(6).fill({ name: 'a' }));
    await kill(queue, 6);
    const startMs = performance.now();
    const { body } = await api.post(of(queue, ':redrive'), { ratePerSecond: 10, max: 5 });
    expect(body).toMatchObject({ redriven: 5, more: true });
    expect(performance.now() - startMs).toBeGreaterThan(350);
  });

  test('and others that have ended are purged, what waits is drained', async () => {
    const queue = newQueue();
    await enqueue(queue, { name: 'a' }, { name: 'a' });
    await kill(queue, 1);
    expect((await api.post(of(queue, ':purge'), { states: ['completed'] })).body).toEqual({ removed: 0 });
    expect((await api.post(of(queue, ':purge'), { states: ['dead'] })).body).toEqual({ removed: 1 });
    await enqueue(queue, { name: 'a', delayMs: 60_000 });
    expect((await api.post(of(queue, ':drain'))).body).toEqual({ removed: 1 });
    expect((await api.post(of(queue, ':drain'), { scheduled: true })).body).toEqual({ removed: 1 });
    expect((await api.post(of(queue, ':purge'), { states: ['waiting'] })).status).toBe(400);
  });
});
