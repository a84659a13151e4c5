/** The service as it is, two replicas of it, on a real Redis and a real bus. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, runProcess, startTestRedis, tempDir, watchTimers, withNats, withRedis } from '@plinth/testkit';
import { queueService } from './service.ts';

const redis = withRedis();
const nats = withNats();
let one: RunningService;
let other: RunningService;
let names = 0;
const newName = () => `service-${++names}`;

const started = (env: Record<string, string> = {}) =>
  startService(queueService, {
    env: { QUEUE_LOG_LEVEL: 'error', REDIS_URL: redis.url, NATS_URL: nats.url, ...env },
    port: 0,
  });

beforeAll(async () => {
  one = await started();
  other = await started();
});
afterAll(async () => {
  await one.stop();
  await other.stop();
});

interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects, or fails.
  body: any;
}

async function post({ url }: RunningService, path: string, body: unknown = {}): Promise<Answer> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(url + path, init);
  return { status: answer.status, body: await answer.json() };
}

async function get({ url }: RunningService, path: string): Promise<Answer> {
  const answer = await fetch(url + path);
  const text = await answer.text();
  return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text };
}

/** Once a request waits there for jobs. */
const someoneWaits = (at: RunningService) =>
  eventually(async () => expect((await get(at, '/metrics')).body).toMatch(/^plinth_queue_waiting_requests 1$/m));

describe('the service', () => {
  test.each(['fast', 'standard'])('takes a job on the lane %s, leases it, has its result', async (lane) => {
    const queue = newName();
    const made = await fetch(`${one.url}/v1/queues/${queue}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ lane }),
    });
    expect(made.status).toBe(200);
    const enqueued = await post(one, `/v1/queues/${queue}/jobs`, { name: 'hello', data: { to: 'you' } });
    expect(enqueued).toMatchObject({ status: 201, body: { state: 'waiting', duplicate: false } });
    const leased = await post(one, `/v1/queues/${queue}:lease`, { worker: 'w', waitMs: 2_000 });
    const [job] = leased.body.jobs;
    expect(job).toMatchObject({ id: enqueued.body.id, name: 'hello', data: { to: 'you' }, attempt: 1 });
    const acks = [{ id: job.id, token: job.token, result: { ok: true } }];
    const next = await post(one, `/v1/queues/${queue}:next`, { acks, worker: 'w' });
    expect(next.body).toMatchObject({ settled: [{ id: job.id, state: 'completed' }], jobs: [] });
    const again = await post(one, `/v1/queues/${queue}:ack`, { acks });
    expect([again.status, again.body.code]).toEqual([409, 'lease_lost']);
    expect((await get(one, `/v1/queues/${queue}/jobs/${job.id}`)).body).toMatchObject({
      state: 'completed',
      result: { ok: true },
    });
    expect((await get(one, `/v1/queues/${queue}/stats`)).body).toMatchObject({ counts: { completed: 1, waiting: 0 } });
  });

  test('wakes who waits at one replica for a job that comes to the other, in milliseconds', async () => {
    const queue = newName();
    await post(one, `/v1/queues/${queue}/jobs`, { name: 'first' });
    await post(other, `/v1/queues/${queue}:lease`, { waitMs: 2_000 });
    const took: number[] = [];
    const lateTimers = watchTimers();
    for (let round = 0; round < 10; round++) {
      const leasing = post(other, `/v1/queues/${queue}:lease`, { waitMs: 5_000 }).then(({ body }) => ({
        body,
        atMs: performance.now(),
      }));
      await someoneWaits(other);
      const startMs = performance.now();
      await post(one, `/v1/queues/${queue}/jobs`, { name: 'again' });
      const { body, atMs } = await leasing;
      expect(body.jobs.length).toBe(1);
      took.push(atMs - startMs);
    }
    took.sort((a, b) => a - b);
    console.log(`enqueue on one replica to lease on the other: median ${took[5]!.toFixed(1)} ms`);
    // Nobody who was not woken looks sooner than a second after he came.
    expect(took[5]).toBeLessThan(lateTimers().isIdle ? 200 : 700);
  });

  test('tells who waits at one replica for the end of a job that ends at the other', async () => {
    const tookMs: number[] = [];
    for (let round = 0; round < 3; round++) {
      const queue = newName();
      const { body } = await post(one, `/v1/queues/${queue}/jobs`, { name: 'x' });
      const waiting = get(one, `/v1/queues/${queue}/jobs/${body.id}?waitMs=20000`);
      await new Promise((resolve) => setTimeout(resolve, 100));
      const leased = await post(other, `/v1/queues/${queue}:lease`, { waitMs: 1_000 });
      const startMs = performance.now();
      await post(other, `/v1/queues/${queue}:ack`, { acks: [{ id: body.id, token: leased.body.jobs[0].token }] });
      expect((await waiting).body).toMatchObject({ state: 'completed' });
      tookMs.push(performance.now() - startMs);
    }
    // By itself it looks every two seconds.
    expect(tookMs.sort((a, b) => a - b)[1]).toBeLessThan(1_000);
  });

  test('makes the runs of a schedule, each once, although two replicas keep it', async () => {
    const queue = newName();
    const put = await fetch(`${one.url}/v1/schedules/${queue}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ queue, everyMs: 200, runsMax: 3, job: { name: 'tick', data: { a: 1 } } }),
    });
    expect(put.status).toBe(200);
    const jobs: { id: string; name: string }[] = [];
    await eventually(
      async () => {
        jobs.push(...(await post(other, `/v1/queues/${queue}:lease`, { max: 10, waitMs: 500 })).body.jobs);
        return jobs.length >= 3;
      },
      { timeoutMs: 20_000 },
    );
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await get(one, `/v1/queues/${queue}/stats`)).body.totals.enqueued).toBe(3);
    expect(jobs.map(({ name }) => name)).toEqual(['tick', 'tick', 'tick']);
  });

  test('knows workers on every replica', async () => {
    const beat = { queues: ['mail'], slots: 4, used: 1 };
    expect((await post(one, '/v1/workers/w-1:beat', beat)).body).toEqual({ state: 'run' });
    await eventually(async () => (await get(other, '/v1/workers')).body.workers.length === 1);
    expect((await post(other, '/v1/workers/w-1:quiet')).body).toEqual({ state: 'quiet' });
    await eventually(async () => (await post(one, '/v1/workers/w-1:beat', beat)).body.state === 'quiet');
  });

  test('serves figures by queue to Prometheus, and says how safely jobs are kept', async () => {
    const queue = newName();
    await post(one, `/v1/queues/${queue}/jobs`, [{ name: 'a' }, { name: 'b' }]);
    const line = `plinth_queue_jobs{queue="${queue}",state="waiting"} 2`;
    await eventually(async () => (await get(one, '/metrics')).body.includes(line), { timeoutMs: 40_000 });
    const text: string = (await get(one, '/metrics')).body;
    expect(text).toContain(`plinth_queue_enqueued_total{queue="${queue}"} 2`);
    expect(text).toContain('# TYPE plinth_queue_process_seconds histogram');
    // A type is told once, and before its samples.
    const types = text.split('\n').filter((each) => each.startsWith('# TYPE '));
    expect(new Set(types).size).toBe(types.length);
    expect((await get(one, '/version')).body).toMatchObject({ durability: 'everysec' });
  }, 60_000);

  test('does not start on a Redis that may throw jobs away, unless that is allowed', async () => {
    const evicting = await startTestRedis({ config: { 'maxmemory-policy': 'allkeys-lru' } });
    await expect(started({ REDIS_URL: evicting.url })).rejects.toThrow(/noeviction/);
    const allowed = await started({ REDIS_URL: evicting.url, QUEUE_UNSAFE: 'true' });
    expect((await get(allowed, '/readyz')).status).toBe(200);
    await allowed.stop();
  });

  test('answers who waits at once when it stops', async () => {
    const leaving = await started();
    const waiting = post(leaving, `/v1/queues/${newName()}:lease`, { waitMs: 20_000 });
    await someoneWaits(leaving);
    const startMs = performance.now();
    await Promise.all([leaving.stop(), waiting.then(({ body }) => expect(body).toEqual({ jobs: [] }))]);
    expect(performance.now() - startMs).toBeLessThan(15_000);
  });

  test('writes results to the key-value store, to whichever replica the word of the worker comes', async () => {
    const queue = newName();
    const kv = runProcess({
      script: new URL('../../kv/src/main.ts', import.meta.url),
      env: { KV_PORT: '0', KV_DATA_DIR: tempDir('kv'), NATS_URL: nats.url },
    });
    const { url } = JSON.parse(await kv.waitForLine(/"msg":"ready"/, 60_000)) as { url: string };
    const resultTo = 'kv://results/orders/7';
    const { body } = await post(one, `/v1/queues/${queue}/jobs`, { name: 'x', resultTo, retain: { count: 0 } });
    // The word of the worker may come to a replica that has never seen the job.
    const leased = await post(one, `/v1/queues/${queue}:lease`, { waitMs: 1_000 });
    const acks = [{ id: body.id, token: leased.body.jobs[0].token, result: { total: 12 } }];
    expect((await post(other, `/v1/queues/${queue}:ack`, { acks })).status).toBe(200);
    const read = () => fetch(`${url}/v1/kv/results/orders/7`);
    await eventually(async () => (await read()).status === 200, { timeoutMs: 20_000 });
    expect(await (await read()).json()).toEqual({ total: 12 });
    await kv.kill();
  }, 120_000);
});
