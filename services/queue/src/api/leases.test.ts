import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { type RunningApi, startApi } from './running.fixture.ts';

const redis = withRedis();
let api: RunningApi;
beforeAll(async () => {
  api = await startApi(redis.url);
});
afterAll(() => api.stop());

let queues = 0;
const newQueue = () => `q${++queues}`;
const enqueue = async (queue: string, count = 1): Promise<void> => {
  await api.post(
    `/v1/queues/${queue}/jobs`,
    Array.from({ length: count }, (_, at) => ({ name: `n${at}`, backoff: { jitter: 0, delayMs: 60_000 } })),
  );
};
const ack = (queue: string, body: unknown) => api.post(`/v1/queues/${queue}:ack`, body);

describe('a lease', () => {
  test('of a queue that is not there is empty', async () => {
    expect(await api.post('/v1/queues/nothing:lease', {})).toEqual({ status: 200, body: { jobs: [] } });
    expect(await api.post('/v1/queues/nothing:lease')).toEqual({ status: 200, body: { jobs: [] } });
  });

  test('waits for a job, and gets it as soon as it comes', async () => {
    const queue = newQueue();
    const startMs = performance.now();
    const waiting = api.post(`/v1/queues/${queue}:lease`, { waitMs: 20_000 });
    await eventually(() => api.replica.queues.waiters === 1);
    await enqueue(queue);
    expect((await waiting).body.jobs).toHaveLength(1);
    expect(performance.now() - startMs).toBeLessThan(15_000);
  });

  test('is empty when nothing came in time, also when the deadline of the call is the sooner', async () => {
    const queue = newQueue();
    expect((await api.post(`/v1/queues/${queue}:lease`, { waitMs: 100 })).body.jobs).toEqual([]);
    const headers = { 'request-timeout-ms': '3000' };
    const answer = await api.post(`/v1/queues/${queue}:lease`, { waitMs: 60_000 }, headers);
    expect(answer).toEqual({ status: 200, body: { jobs: [] } });
  });

  test('of whoever has gone takes no job', async () => {
    const queue = newQueue();
    const gone = new AbortController();
    const headers = { 'content-type': 'application/json' };
    const asked = fetch(`${api.url}/v1/queues/${queue}:lease`, {
      ...{ method: 'POST', headers, body: '{"waitMs":60000}', signal: gone.signal },
    });
    await eventually(() => api.replica.queues.waiters === 1);
    gone.abort();
    await expect(asked).rejects.toThrow();
    await eventually(() => api.replica.queues.waiters === 0);
    await enqueue(queue);
    await eventually(async () => expect(await api.lease(queue)).toHaveLength(1));
  });

  test.each([
    [{ max: 0 }, '/max'],
    [{ max: 1_001 }, '/max'],
    [{ leaseMs: 999 }, '/leaseMs'],
    [{ waitMs: 60_001 }, '/waitMs'],
    [{ worker: 'a b' }, '/worker'],
    [{ maxx: 1 }, '/maxx'],
  ])('%j is refused', async (body, path) => {
    const answer = await api.post('/v1/queues/q:lease', body);
    expect(answer).toMatchObject({ status: 400, body: { issues: [{ path }] } });
  });
});

describe('a settlement', () => {
  test('by a token that is not the lease’s is 409 lease_lost, and changes nothing', async () => {
    const queue = newQueue();
    await enqueue(queue);
    const [job] = await api.lease(queue);
    const wrong = await ack(queue, { acks: [{ id: job!.id, token: '999999999' }] });
    expect(wrong).toMatchObject({ status: 409, body: { code: 'lease_lost' } });
    expect((await api.get(`/v1/queues/${queue}/jobs/${job!.id}`)).body.state).toBe('leased');
    expect((await ack(queue, { acks: [{ id: job!.id, token: job!.token }] })).status).toBe(200);
    expect((await ack(queue, { acks: [{ id: job!.id, token: job!.token }] })).status).toBe(409);
    const unknown = await ack(queue, { acks: [{ id: 'nobody', token: '1' }] });
    expect(unknown).toMatchObject({ status: 404, body: { code: 'job_not_found' } });
  });

  test('among others is a problem of its own, and the others are settled', async () => {
    const queue = newQueue();
    await enqueue(queue, 4);
    const jobs = await api.lease(queue, 4);
    const [a, b, c, d] = jobs as [(typeof jobs)[0], (typeof jobs)[0], (typeof jobs)[0], (typeof jobs)[0]];
    const { status, body } = await ack(queue, {
      acks: [
        { id: a.id, token: '1' },
        { id: b.id, token: b.token, result: 'x'.repeat(70_000) },
        { id: c.id, token: c.token },
      ],
      fails: [{ id: d.id, token: d.token, error: { message: 'no' } }],
      releases: [{ id: 'nobody', token: '1' }],
    });
    expect(status).toBe(200);
    expect(body.settled).toMatchObject([
      { id: a.id, problem: { code: 'lease_lost', status: 409 } },
      { id: b.id, problem: { code: 'payload_too_large', issues: [{ path: '/acks/1/result' }] } },
      { id: c.id, state: 'completed' },
      { id: d.id, state: 'retrying', retryAtMs: expect.any(Number) },
      { id: 'nobody', problem: { code: 'job_not_found' } },
    ]);
    expect(body.settled[3].retryAtMs - Date.now()).toBeGreaterThan(50_000);
  });

  test('final is dead at once; a release is leased again', async () => {
    const queue = newQueue();
    await enqueue(queue, 2);
    const [a, b] = await api.lease(queue, 2);
    const { body } = await ack(queue, {
      fails: [{ id: a!.id, token: a!.token, error: { type: 'Bad', message: 'm', stack: 's' }, final: true }],
      releases: [{ id: b!.id, token: b!.token }],
    });
    expect(body.settled.map(({ state }: { state: string }) => state)).toEqual(['dead', 'waiting']);
    expect((await api.lease(queue))[0]).toMatchObject({ id: b!.id, attempt: 1 });
    const dead = await api.get(`/v1/queues/${queue}/jobs/${a!.id}`);
    expect(dead.body.error).toEqual({ type: 'Bad', message: 'm', stack: 's' });
  });
});

test('next settles and leases in one call; a lost lease keeps nobody from the next jobs', async () => {
  const queue = newQueue();
  await enqueue(queue, 3);
  const [first] = await api.lease(queue);
  const good = await api.post(`/v1/queues/${queue}:next`, { acks: [{ id: first!.id, token: first!.token }], max: 1 });
  expect(good.body.settled).toEqual([{ id: first!.id, state: 'completed' }]);
  expect(good.body.jobs).toHaveLength(1);
  const lost = await api.post(`/v1/queues/${queue}:next`, { acks: [{ id: first!.id, token: first!.token }, 5] });
  expect(lost.status).toBe(200);
  expect(lost.body.settled).toMatchObject([
    { problem: { code: 'lease_lost' } },
    { id: '', problem: { code: 'invalid_request' } },
  ]);
  expect(lost.body.jobs).toHaveLength(1);
});

describe('a renewal', () => {
  test('moves the deadline, keeps progress and log, and brings the wish to stop', async () => {
    const queue = newQueue();
    await enqueue(queue);
    const [job] = await api.lease(queue);
    const one = { id: job!.id, token: job!.token, leaseMs: 60_000, progress: { done: 0.5 }, log: ['half'] };
    const { body } = await api.post(`/v1/queues/${queue}:renew`, { leases: [one] });
    expect(body.renewed[0].id).toBe(job!.id);
    expect(body.renewed[0].leaseMs).toBeGreaterThan(50_000);
    const view = await api.get(`/v1/queues/${queue}/jobs/${job!.id}`);
    expect(view.body).toMatchObject({ progress: { done: 0.5 }, log: ['half'] });
    const cancelled = await api.post(`/v1/queues/${queue}/jobs/${job!.id}:cancel`, { reason: 'not wanted' });
    expect(cancelled.body).toEqual({ id: job!.id, state: 'leased' });
    const again = await api.post(`/v1/queues/${queue}:renew`, { leases: [one] });
    expect(again.body.renewed[0].cancel).toBe('not wanted');
    const ended = await ack(queue, { acks: [{ id: job!.id, token: job!.token }] });
    expect(ended.body.settled[0].state).toBe('cancelled');
  });

  test('of a lease that is lost is 409 by itself, and an item among others', async () => {
    const queue = newQueue();
    await enqueue(queue);
    const [job] = await api.lease(queue);
    const bad = { id: job!.id, token: '1' };
    const good = { id: job!.id, token: job!.token };
    expect((await api.post(`/v1/queues/${queue}:renew`, { leases: [bad] })).status).toBe(409);
    const both = await api.post(`/v1/queues/${queue}:renew`, { leases: [bad, good] });
    expect(both.body.renewed).toMatchObject([{ problem: { code: 'lease_lost' } }, { deadlineMs: expect.any(Number) }]);
  });
});
