import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { queueStats, scheduleInfo } from '@plinth/contracts/queue';
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

describe('a queue', () => {
  test('is made with all its settings, and what a second PUT leaves out is the default again', async () => {
    const queue = newQueue();
    const made = await api.put(of(queue), {
      lane: 'fast',
      limits: { ratePerSecond: 2.5, jobsMax: 10 },
      groups: { weight: 3 },
      defaults: { attempts: 2, backoff: { factor: 3 }, leaseMs: 5_000 },
    });
    expect(made).toMatchObject({
      status: 200,
      body: {
        ...{ queue, lane: 'fast', push: false },
        limits: { jobsMax: 10, concurrency: 0, ratePerSecond: 2.5, burst: 3, maxStalls: 5 },
        groups: { weight: 3, concurrency: 0 },
        defaults: { attempts: 2, backoff: { type: 'exponential', factor: 3, delayMs: 1_000 }, leaseMs: 5_000 },
      },
    });
    expect((await api.get(of(queue))).body).toEqual(made.body);
    const again = await api.put(of(queue));
    expect(again.body).toMatchObject({ lane: 'fast', limits: { jobsMax: 0 }, defaults: { attempts: 5 } });
    expect((await api.get('/v1/queues')).body.queues).toContainEqual(again.body);
  });

  test('gives its jobs its defaults', async () => {
    const queue = newQueue();
    await api.put(of(queue), { defaults: { attempts: 1, leaseMs: 7_000 } });
    await api.post(of(queue, '/jobs'), { name: 'n' });
    expect((await api.lease(queue))[0]).toMatchObject({ attempts: 1, leaseMs: 7_000 });
  });

  test('does not change its lane', async () => {
    const queue = newQueue();
    await api.put(of(queue), { lane: 'fast' });
    expect(await api.put(of(queue), { lane: 'standard' })).toMatchObject({ status: 409, body: { code: 'conflict' } });
  });

  test.each([
    [{ lane: 'slow' }, '/lane'],
    [{ limits: { jobsMax: -1 } }, '/limits/jobsMax'],
    [{ groups: { weight: 0 } }, '/groups/weight'],
    [{ defaults: { attempts: 0 } }, '/defaults/attempts'],
    [{ limit: {} }, '/limit'],
  ])('of %j is refused', async (body, path) => {
    expect(await api.put(of(newQueue()), body)).toMatchObject({ status: 400, body: { issues: [{ path }] } });
  });

  test('of the service itself is not open to callers: what lies in it is signed and sent in its name', async () => {
    const own = 'plinth-callbacks';
    const body = { name: 'deliver', data: {} };
    const refused = { status: 403, body: { code: 'forbidden' } };
    expect(await api.put(of(own))).toMatchObject(refused);
    expect(await api.put(of(own, '/push'), { url: 'https://example.org/' })).toMatchObject(refused);
    expect(await api.remove(of(own))).toMatchObject(refused);
    expect(await api.put('/v1/schedules/sly', { queue: own, job: body, everyMs: 60_000 })).toMatchObject(refused);
    expect(await api.post(of(own, '/flows'), { ...body, children: [body] })).toMatchObject(refused);
    for (const [rest, sent] of Object.entries({
      '/jobs': body,
      ':lease': { worker: 'w' },
      ':next': { worker: 'w', acks: [] },
      ':ack': { acks: [{ id: '1', token: '1' }] },
      ':renew': { leases: [{ id: '1', token: '1' }] },
    })) {
      expect(await api.post(of(own, rest), sent)).toMatchObject(refused);
    }
    expect((await api.get(of(own, '/stats'))).status).toBe(200);
  });

  test('is removed with its jobs, with leases out only by force', async () => {
    const queue = newQueue();
    await api.post(of(queue, '/jobs'), { name: 'n' });
    await api.lease(queue);
    expect(await api.remove(of(queue))).toMatchObject({ status: 409, body: { code: 'conflict' } });
    expect((await api.remove(of(queue, '?force=true'))).status).toBe(204);
    expect(await api.get(of(queue))).toMatchObject({ status: 404, body: { code: 'queue_not_found' } });
  });

  test('that is paused gives no jobs and takes them all the same; a group likewise', async () => {
    const queue = newQueue();
    await api.post(of(queue, '/jobs'), [{ name: 'n' }, { name: 'n', group: 'g' }]);
    expect((await api.post(of(queue, ':pause'))).body).toEqual({ paused: true, pausedGroups: [] });
    expect(await api.lease(queue, 9)).toEqual([]);
    expect((await api.post(of(queue, '/jobs'), { name: 'n' })).status).toBe(201);
    expect((await api.get(of(queue, '/stats'))).body).toMatchObject({ paused: true, lag: 0, counts: { waiting: 3 } });
    await api.post(of(queue, ':resume'));
    expect((await api.post(of(queue, ':pause'), { group: 'g' })).body).toEqual({ paused: false, pausedGroups: ['g'] });
    expect(await api.lease(queue, 9)).toHaveLength(2);
    expect((await api.post(of('nothing', ':pause'))).status).toBe(404);
  });

  test('has limits for one group, in any words', async () => {
    const queue = newQueue();
    const path = of(queue, '/groups/%C3%BC%20a');
    const set = await api.put(path, { concurrency: 1 });
    expect(set.body).toEqual({ weight: 1, concurrency: 1, ratePerSecond: 0, burst: 0 });
    await api.post(of(queue, '/jobs'), [
      { name: 'n', group: 'ü a' },
      { name: 'n', group: 'ü a' },
    ]);
    expect(await api.lease(queue, 9)).toHaveLength(1);
    expect((await api.remove(path)).status).toBe(204);
    expect(await api.lease(queue, 9)).toHaveLength(1);
  });
});

test('figures have every number, also of a queue that is not there', async () => {
  const queue = newQueue();
  const none = await api.get(of('nobody', '/stats'));
  expect(queueStats.safeParse(none.body).error).toBeUndefined();
  expect(none).toMatchObject({ status: 200, body: { lag: 0, load: 0, counts: { waiting: 0 }, workers: { total: 0 } } });
  await api.post(of(queue, '/jobs'), [{ name: 'n' }, { name: 'n' }, { name: 'n', delayMs: 60_000 }]);
  await api.lease(queue);
  await api.post('/v1/workers/w-1:beat', { queues: [queue], slots: 5, used: 1 });
  const { body } = await api.get(of(queue, '/stats'));
  expect(queueStats.safeParse(body).error).toBeUndefined();
  expect(body).toMatchObject({
    ...{ lane: 'fast', lag: 1, load: 2, workers: { count: 1, used: 1, total: 5 } },
    counts: { waiting: 1, leased: 1, scheduled: 1 },
    totals: { enqueued: 3 },
  });
});

describe('a worker', () => {
  const beat = { queues: ['w'], slots: 2, used: 0, rssBytes: 1e8, host: 'h' };

  test('tells of itself and hears what it should do', async () => {
    expect(await api.post('/v1/workers/w-2:beat', beat)).toEqual({ status: 200, body: { state: 'run' } });
    expect((await api.post('/v1/workers/w-2:quiet')).body).toEqual({ state: 'quiet' });
    expect((await api.post('/v1/workers/w-2:beat', beat)).body).toEqual({ state: 'quiet' });
    expect((await api.post('/v1/workers/w-2:terminate')).body).toEqual({ state: 'terminate' });
    const { body } = await api.get('/v1/workers?queue=w');
    expect(body.workers).toMatchObject([{ worker: 'w-2', state: 'terminate', slots: 2, host: 'h' }]);
  });

  test('that is not known is 404, and one that has more than it may is refused', async () => {
    expect(await api.post('/v1/workers/w-9:quiet')).toMatchObject({ status: 404, body: { code: 'worker_not_found' } });
    expect(await api.post('/v1/workers/w-2:beat', { ...beat, used: 3 })).toMatchObject({ status: 400 });
    expect(await api.post('/v1/workers/w-2:beat', { ...beat, queues: ['-'] })).toMatchObject({ status: 400 });
  });
});

describe('a webhook of a queue', () => {
  test('has its secret told once', async () => {
    const queue = newQueue();
    expect(await api.get(of(queue, '/push'))).toMatchObject({ status: 404, body: { code: 'push_not_found' } });
    const url = 'https://hooks.example.com/jobs';
    const made = await api.put(of(queue, '/push'), { url, headers: { 'X-Key': 'secret' } });
    expect(made.body).toMatchObject({ url, secret: expect.stringMatching(/^whsec_/), headers: ['X-Key'] });
    const { secret: _, ...rest } = made.body;
    expect((await api.get(of(queue, '/push'))).body).toEqual(rest);
    expect((await api.get(of(queue))).body.push).toBe(true);
    await api.put(of(queue), { limits: { jobsMax: 5 } });
    expect((await api.get(of(queue))).body.push).toBe(true);
    expect((await api.remove(of(queue, '/push'))).status).toBe(204);
    expect((await api.remove(of(queue, '/push'))).status).toBe(404);
  });

  test('is refused for a private address', async () => {
    const answer = await api.put(of(newQueue(), '/push'), { url: 'http://127.0.0.1/x' });
    expect(answer).toMatchObject({ status: 400, body: { issues: [{ path: '/url' }] } });
  });
});

describe('a schedule', () => {
  const cron = { queue: 'mail', cron: '0 9 * * *', timeZone: 'Europe/Berlin', job: { name: 'digest', data: { a: 1 } } };

  test('is put, looked at, run besides its runs, and ended', async () => {
    const wish = { ...cron, from: '2030-01-01T00:00:00Z', catchUp: 'all', jitterMs: 5 };
    const put = await api.put('/v1/schedules/daily', wish);
    expect(put).toMatchObject({
      status: 200,
      body: { id: 'daily', queue: 'mail', job: cron.job, jitterMs: 5, runs: 0 },
    });
    expect(put.body.nextRunAtMs).toBe(Date.parse('2030-01-01T09:00:00+01:00'));
    expect(scheduleInfo.safeParse(put.body).error).toBeUndefined();
    expect((await api.get('/v1/schedules/daily')).body).toEqual(put.body);
    expect((await api.get('/v1/schedules?queue=mail')).body.schedules).toEqual([put.body]);
    expect(await api.post('/v1/schedules/daily:run')).toMatchObject({ status: 201, body: { state: 'waiting' } });
    expect((await api.lease('mail'))[0]).toMatchObject({ name: 'digest', data: { a: 1 } });
    expect((await api.post('/v1/schedules/nightly:run')).body.code).toBe('schedule_not_found');
    expect((await api.remove('/v1/schedules/daily')).status).toBe(204);
    expect((await api.get('/v1/schedules/daily')).status).toBe(404);
  });

  test('with a calendar that means nothing is refused, and says where', async () => {
    const refused = await api.put('/v1/schedules/s', { ...cron, cron: '0 25 * * *' });
    expect(refused).toMatchObject({ status: 422, body: { code: 'invalid_schedule', issues: [{ path: '/cron' }] } });
    const nowhere = await api.put('/v1/schedules/s', { ...cron, timeZone: 'Europe/Atlantis' });
    expect(nowhere).toMatchObject({ status: 422, body: { issues: [{ path: '/timeZone' }] } });
  });

  test.each([
    [{ ...cron, everyMs: 1_000 }, ''],
    [{ queue: 'mail', job: { name: 'n' } }, ''],
    [{ queue: 'mail', everyMs: 99, job: { name: 'n' } }, '/everyMs'],
    [{ queue: 'mail', everyMs: 100, timeZone: 'UTC', job: { name: 'n' } }, '/timeZone'],
    [{ queue: 'mail', at: 'soon', job: { name: 'n' } }, '/at'],
    [{ queue: 'mail', at: 5, job: { name: 'n', delayMs: 5 } }, '/job/delayMs'],
    [{ queue: 'mail', at: 5, job: { nome: 'n' } }, '/job/nome'],
    [{ queue: 'mail', at: 5 }, '/job'],
    [{ ...cron, catchUp: 'some' }, '/catchUp'],
    [{ ...cron, crons: 1 }, '/crons'],
  ])('of %j is refused', async (body, path) => {
    expect(await api.put('/v1/schedules/s', body)).toMatchObject({ status: 400, body: { issues: [{ path }] } });
  });
});
