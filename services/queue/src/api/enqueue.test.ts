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
const jobsPath = (queue: string) => `/v1/queues/${queue}/jobs`;
const count = async (queue: string) => (await api.get(`/v1/queues/${queue}/stats`)).body.totals.enqueued as number;

describe('one job', () => {
  test('is enqueued, leased with its data as it was written, and done', async () => {
    const queue = newQueue();
    const added = await api.post(jobsPath(queue), '{"name":"mail","data":{"n":9007199254740993},"tags":["a"]}');
    expect(added).toEqual({ status: 201, body: { id: expect.any(String), state: 'waiting', duplicate: false } });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${api.url}/v1/queues/${queue}:lease`, {
      method: 'POST',
      headers,
      body: '{"worker":"w"}',
    });
    const text = await answer.text();
    expect(text).toContain('"data":{"n":9007199254740993},');
    const [job] = JSON.parse(text).jobs;
    expect(job).toMatchObject({ id: added.body.id, name: 'mail', tags: ['a'], attempt: 1, attempts: 5, stalls: 0 });
    expect(job).toMatchObject({ group: '', leaseMs: 30_000, timeoutMs: 0 });
    const acked = await api.post(`/v1/queues/${queue}:ack`, { acks: [{ id: job.id, token: job.token, result: [7] }] });
    expect(acked).toEqual({ status: 200, body: { settled: [{ id: job.id, state: 'completed' }] } });
    const { body } = await api.get(`${jobsPath(queue)}/${job.id}`);
    expect(body).toMatchObject({
      queue,
      state: 'completed',
      result: [7],
      history: [{ worker: 'w', outcome: 'completed' }],
    });
  });

  test('with a delay is scheduled', async () => {
    const { body } = await api.post(jobsPath(newQueue()), { name: 'later', delayMs: 60_000 });
    expect(body.state).toBe('scheduled');
  });

  test('of a dedup id that is there is answered with the first id', async () => {
    const queue = newQueue();
    const job = { name: 'n', dedup: { id: 'order 5' } };
    const [first, second] = [await api.post(jobsPath(queue), job), await api.post(jobsPath(queue), job)];
    expect(second).toEqual({ status: 201, body: { ...first.body, duplicate: true } });
  });

  test.each([
    ['/v1/queues/-q/jobs', { name: 'n' }, 400, '/params/queue'],
    ['/v1/queues/q/jobs', { name: 'n', delaiMs: 5 }, 400, '/delaiMs'],
    ['/v1/queues/q/jobs', { name: 'n', callbackUrl: 'http://10.0.0.1' }, 400, '/callbackUrl'],
    ['/v1/queues/q/jobs', { name: 'n', data: 'x'.repeat(300_000) }, 413, '/data'],
    ['/v1/queues/q/jobs', [], 400, ''],
  ])('to %s that is wrong is refused: %j', async (path, job, status, place) => {
    const answer = await api.post(path, job);
    expect(answer.status).toBe(status);
    expect(answer.body.issues[0].path).toBe(place);
  });

  test('that is no JSON is refused with line and column', async () => {
    const answer = await api.post(jobsPath(newQueue()), '{"name":\n"n",}');
    expect(answer).toMatchObject({ status: 400, body: { line: 2, column: 5 } });
  });
});

describe('an array', () => {
  test('with a bad job is answered job by job, and the others are enqueued', async () => {
    const queue = newQueue();
    const { status, body } = await api.post(jobsPath(queue), [
      { name: 'a' },
      { name: 'b', priority: -1 },
      { name: 'c' },
    ]);
    expect(status).toBe(200);
    expect(body.jobs).toHaveLength(3);
    expect(body.jobs[0]).toMatchObject({ state: 'waiting', duplicate: false });
    expect(body.jobs[1].problem).toMatchObject({
      status: 400,
      code: 'invalid_request',
      issues: [{ path: '/1/priority' }],
    });
    expect(body.jobs[2].id).not.toBe(body.jobs[0].id);
    expect(await count(queue)).toBe(2);
  });

  test('of bad jobs alone enqueues nothing and says so of each', async () => {
    const queue = newQueue();
    const { status, body } = await api.post(jobsPath(queue), [7, {}]);
    expect([status, body.jobs.map((one: { problem: { code: string } }) => one.problem.code)]).toEqual([
      200,
      ['invalid_request', 'invalid_request'],
    ]);
  });

  test('into a queue that becomes full says which jobs found no place', async () => {
    const queue = newQueue();
    await api.put(`/v1/queues/${queue}`, { limits: { jobsMax: 2 } });
    const { body } = await api.post(jobsPath(queue), [{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    expect(body.jobs.map((one: { id?: string; problem?: { code: string } }) => one.problem?.code)).toEqual([
      undefined,
      undefined,
      'queue_full',
    ]);
    const single = await api.post(jobsPath(queue), { name: 'd' });
    expect(single).toMatchObject({ status: 429, body: { code: 'queue_full', retryable: 'safe' } });
  });
});

describe('a queue with a schema', () => {
  test('takes data that meets it, and names what does not', async () => {
    const queue = newQueue();
    const schema = { type: 'object', required: ['to'], properties: { to: { type: 'string' } } };
    expect((await api.put(`/v1/queues/${queue}`, { schema })).body.schema).toEqual(schema);
    const { body } = await api.post(jobsPath(queue), [
      { name: 'a', data: { to: 'ann' } },
      { name: 'b', data: { to: 5 } },
    ]);
    expect(body.jobs[0].state).toBe('waiting');
    expect(body.jobs[1].problem).toMatchObject({ code: 'schema_mismatch', issues: [{ path: '/1/data/to' }] });
    const bare = await api.post(jobsPath(queue), { name: 'c' });
    expect(bare).toMatchObject({ status: 422, body: { code: 'schema_mismatch', issues: [{ path: '/data' }] } });
    await api.put(`/v1/queues/${queue}`, {});
    expect((await api.post(jobsPath(queue), { name: 'c' })).status).toBe(201);
  });

  test('that is none is refused, and the queue stays as it was', async () => {
    const queue = newQueue();
    await api.put(`/v1/queues/${queue}`, { limits: { jobsMax: 9 } });
    const refused = await api.put(`/v1/queues/${queue}`, { schema: { type: 'text' } });
    expect(refused).toMatchObject({ status: 422, body: { code: 'invalid_schema' } });
    expect((await api.get(`/v1/queues/${queue}`)).body.limits.jobsMax).toBe(9);
  });
});

describe('an Idempotency-Key', () => {
  const key = (word: string) => ({ 'idempotency-key': word });

  test('of the same request answers with the first ids and enqueues nothing', async () => {
    const queue = newQueue();
    const jobs = [{ name: 'a' }, { nome: 'b' }, { name: 'a' }];
    const first = await api.post(jobsPath(queue), jobs, key('k1'));
    const again = await api.post(jobsPath(queue), jobs, key('k1'));
    const ids = (answer: typeof first) => answer.body.jobs.map((one: { id?: string }) => one.id);
    expect(ids(again)).toEqual(ids(first));
    expect(new Set(ids(first)).size).toBe(3);
    expect(again.body.jobs[0].duplicate).toBe(true);
    expect(await count(queue)).toBe(2);
  });

  test('of many at once enqueues once', async () => {
    const queue = newQueue();
    const all = await Promise.all(
      Array.from({ length: 20 }, () => api.post(jobsPath(queue), { name: 'a' }, key('k2'))),
    );
    expect(new Set(all.map(({ body }) => body.id)).size).toBe(1);
    expect(await count(queue)).toBe(1);
  });

  test('still holds when the job has ended', async () => {
    const queue = newQueue();
    const { body } = await api.post(jobsPath(queue), { name: 'a' }, key('k3'));
    const [job] = await api.lease(queue);
    await api.post(`/v1/queues/${queue}:ack`, { acks: [{ id: job!.id, token: job!.token }] });
    expect((await api.post(jobsPath(queue), { name: 'a' }, key('k3'))).body.id).toBe(body.id);
    expect(await count(queue)).toBe(1);
  });

  test('holds for jobs that have a dedup id of their own too', async () => {
    const queue = newQueue();
    const wish = { name: 'a', dedup: { id: 'd' } };
    const first = await api.post(jobsPath(queue), wish, key('k4'));
    const [job] = await api.lease(queue);
    await api.post(`/v1/queues/${queue}:ack`, { acks: [{ id: job!.id, token: job!.token }] });
    expect((await api.post(jobsPath(queue), wish, key('k4'))).body).toEqual({
      ...first.body,
      state: 'completed',
      duplicate: true,
    });
    expect((await api.post(jobsPath(queue), wish)).body.id).not.toBe(first.body.id);
  });

  test('of another request is refused; in another queue it is another key', async () => {
    const [queue, other] = [newQueue(), newQueue()];
    await api.post(jobsPath(queue), { name: 'a' }, key('k5'));
    const refused = await api.post(jobsPath(queue), { name: 'b' }, key('k5'));
    expect(refused).toMatchObject({ status: 409, body: { code: 'idempotency_mismatch' } });
    expect((await api.post(jobsPath(other), { name: 'b' }, key('k5'))).status).toBe(201);
    expect((await api.post(jobsPath(queue), { name: 'b' }, key('a b'))).body.issues[0].path).toBe(
      '/headers/idempotency-key',
    );
  });
});

describe('an Idempotency-Key-TTL', () => {
  const key = (ttl: string) => ({ 'idempotency-key': 'k', 'idempotency-key-ttl': ttl });

  test('says for how many seconds the key is known', async () => {
    const queue = newQueue();
    const startMs = performance.now();
    const [first, second] = [
      await api.post(jobsPath(queue), { name: 'a' }, key('1')),
      await api.post(jobsPath(queue), { name: 'a' }, key('1')),
    ];
    if (performance.now() - startMs < 950) expect(second.body.id).toBe(first.body.id);
    // In whole seconds, up.
    await new Promise((resolve) => setTimeout(resolve, 2_050));
    expect((await api.post(jobsPath(queue), { name: 'a' }, key('1'))).body).toMatchObject({ duplicate: false });
  });

  test.each(['1', '86400'])('may be %s', async (ttl) => {
    expect((await api.post(jobsPath(newQueue()), { name: 'a' }, key(ttl))).status).toBe(201);
  });

  test.each(['0', '86401', '1.5', 'PT5M', '-1'])('may not be %s', async (ttl) => {
    const queue = newQueue();
    const refused = await api.post(jobsPath(queue), { name: 'a' }, key(ttl));
    expect(refused).toMatchObject({ status: 400, body: { issues: [{ path: '/headers/idempotency-key-ttl' }] } });
  });
});

describe('CloudEvents', () => {
  const event = { specversion: '1.0', type: 'paid', source: '/shop', id: '1', partitionkey: 't', data: [1] };

  test('come structured, in batches and binary, and the same event is one job', async () => {
    const queue = newQueue();
    const send = (body: unknown, type: string) => api.post(jobsPath(queue), body, { 'content-type': type });
    const one = await send(event, 'application/cloudevents+json; charset=utf-8');
    expect(one).toMatchObject({ status: 201, body: { duplicate: false } });
    const many = await send([event, { ...event, id: '2' }], 'application/cloudevents-batch+json');
    expect(many.body.jobs.map((job: { duplicate: boolean }) => job.duplicate)).toEqual([true, false]);
    const headers = { 'ce-specversion': '1.0', 'ce-type': 'paid', 'ce-source': '/shop', 'ce-id': '2' };
    expect((await api.post(jobsPath(queue), '[1]', headers)).body.duplicate).toBe(true);
    expect((await api.lease(queue, 9)).map(({ data }) => data)).toEqual([[1], [1]]);
  });
});

test('a flow waits for its children', async () => {
  const queue = newQueue();
  const { status, body } = await api.post(`/v1/queues/${queue}/flows`, {
    name: 'parent',
    children: [{ name: 'one' }, { name: 'two', onFailure: 'ignore' }],
  });
  expect(status).toBe(201);
  expect(body).toMatchObject({ state: 'waiting-children', childIds: [expect.any(String), expect.any(String)] });
  expect((await api.get(`${jobsPath(queue)}/${body.id}`)).body).toMatchObject({ pendingChildren: 2 });
});
