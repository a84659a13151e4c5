/** Callbacks, on a real Redis and to real servers. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, withRedis } from '@plinth/testkit';
import { Webhook } from 'standardwebhooks';
import type { NewJob } from '../core/job.ts';
import { newJob, openReplica, type Replica } from '../core/queues.fixture.ts';
import { CallbackDelivery } from './callback-delivery.ts';
import { CALLBACK_QUEUE } from './callbacks.ts';
import { HookServer } from './hook-server.fixture.ts';
import { newSecret } from './push-target.ts';

const redis = withRedis();
const SECRET = newSecret();
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const log = { info: () => {}, warn: () => {} };

let engine: Replica;
let server: HookServer;
const stops: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  engine = await openReplica(redis.url);
});
afterAll(() => engine.stop());
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

/** @param aheadMs - How far its clock is ahead, so that looks come early: 0 none, 120,000 at once. */
async function started(queues = engine): Promise<CallbackDelivery> {
  server = await new HookServer().start();
  stops.push(() => server.stop());
  return deliveryOf(queues);
}

async function deliveryOf(queues: Replica): Promise<CallbackDelivery> {
  const clock = { now: Date.now, random: Math.random };
  const options = { engine: queues.queues, clock, log, allowPrivateTargets: true, secret: SECRET };
  const delivery = new CallbackDelivery(options);
  await delivery.start();
  stops.push(() => delivery.stop(0));
  return delivery;
}

/** Once so many calls have come. */
const received = (calls: number) => eventually(() => server.received.length === calls, { timeoutMs: 15_000 });

let count = 0;

/** Enqueues a job that wants callbacks, and leases it. */
async function leased(more: Partial<NewJob> = {}) {
  count += 1;
  const queue = `calls-${count}`;
  const urls = { callbackUrl: `${server.url}?good`, failureCallbackUrl: `${server.url}?bad` };
  const job = newJob({ ...urls, attempts: 1, traceparent: TRACEPARENT, ...more });
  const [added] = await engine.queues.enqueue(queue, [job]);
  if (added === undefined || 'refused' in added) throw new Error('refused');
  const signal = new AbortController().signal;
  const ask = { max: 1, leaseMs: 30_000, worker: 'test' };
  const [mine] = await engine.queues.lease(queue, ask, { waitMs: 20_000, signal });
  return { queue, id: added.id, token: mine!.token };
}

const error = { type: 'Oops', message: 'it broke', stack: 'secret stack' };

async function settle(job: { queue: string; id: string; token: string }, isGood = true): Promise<void> {
  const { queue, id, token } = job;
  await engine.queues.settle(queue, [
    isGood
      ? { kind: 'ack', id, token, result: '{"n": 1}' }
      : { kind: 'fail', id, token, error, retryAfterMs: undefined, isFinal: true },
  ]);
}

describe('the end of a job', () => {
  test('that went well is told once, signed and in its trace', async () => {
    await started();
    const job = await leased();
    await settle(job);
    await received(1);
    const { headers, body } = server.received[0] as { headers: Record<string, string>; body: string };
    expect(new Webhook(SECRET).verify(body, headers)).toEqual({
      id: job.id,
      queue: job.queue,
      state: 'completed',
      name: 'test',
      group: '',
      tags: [],
      attempt: 1,
      attempts: 1,
      finishedAt: expect.stringMatching(/^20\d\d-.*Z$/),
      result: { n: 1 },
    });
    expect(headers).toMatchObject({
      'webhook-id': `callback-completed_${job.queue}_${job.id}`,
      traceparent: TRACEPARENT,
    });
  });

  test('is told of a job that is not kept', async () => {
    await started();
    await settle(await leased({ retain: { count: 0, ageMs: 0 } }));
    await received(1);
    expect(JSON.parse(server.received[0]!.body)).toMatchObject({ state: 'completed', result: { n: 1 } });
  });

  test('that went badly is told to the other URL, without the stack', async () => {
    await started();
    await settle(await leased(), false);
    await received(1);
    expect(JSON.parse(server.received[0]!.body)).toMatchObject({
      state: 'dead',
      error: { type: 'Oops', message: 'it broke' },
    });
    expect(server.received[0]!.body).not.toContain('secret stack');
  });

  test('without a URL for it is not told', async () => {
    await started();
    await settle(await leased({ callbackUrl: undefined }));
    await settle(await leased({ failureCallbackUrl: undefined }), false);
    await settle(await leased());
    await received(1);
    expect(server.received).toHaveLength(1);
  });

  test('is told again while the receiver fails', async () => {
    await started();
    server.answer = (response, _, n) => response.writeHead(n === 1 ? 429 : 200, { 'retry-after': '1' }).end();
    await settle(await leased());
    await received(2);
    expect(new Set(server.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  test.each([[410], [489]])('is not told again after %d', async (status) => {
    await started();
    server.answer = (response) => response.writeHead(status).end();
    await settle(await leased());
    await received(1);
    await eventually(
      async () => {
        const dead = await engine.queues.jobs(CALLBACK_QUEUE, { states: ['dead'] }, { limit: 10 });
        return dead.jobs.some(({ error }) => error?.message.includes(String(status)));
      },
      { timeoutMs: 15_000 },
    );
  });
});

describe('an end that nobody heard', () => {
  /** What a watch would do in a minute. */
  async function lookNow(delivery: CallbackDelivery, job: { queue: string; id: string }): Promise<void> {
    const callbackUrl = `${server.url}?good`;
    await delivery.callbacks.look({ kind: 'watch', ...job, callbackUrl, looks: 0 });
  }

  test('is looked for: a watch is there before the enqueue is answered', async () => {
    await started();
    const { queue, id } = await leased();
    const { jobs } = await engine.queues.jobs(CALLBACK_QUEUE, { states: ['scheduled'], name: 'watch' }, { limit: 100 });
    const watch = jobs.find(({ data }) => data.includes(`"queue":"${queue}"`))!;
    expect(JSON.parse(watch.data)).toMatchObject({ kind: 'watch', queue, id, looks: 0 });
    expect(watch.dueAtMs! - watch.enqueuedAtMs).toBeGreaterThan(50_000);
    expect(watch.dueAtMs! - watch.enqueuedAtMs).toBeLessThan(61_000);
  });

  test('is found by the watch and told, with the result that the job has', async () => {
    // Settled on a replica that hears nothing, as one that died at that moment.
    server = await new HookServer().start();
    stops.push(() => server.stop());
    const job = await leased();
    await settle(job);
    const delivery = await deliveryOf(engine);
    await lookNow(delivery, job);
    await received(1);
    expect(JSON.parse(server.received[0]!.body)).toMatchObject({ id: job.id, state: 'completed', result: { n: 1 } });
    // The look is repeated after a crash in its midst: nothing comes of it.
    await lookNow(delivery, job);
    await settle(await leased());
    await received(2);
    expect(JSON.parse(server.received[1]!.body).id).not.toBe(undefined);
    expect(new Set(server.received.map(({ headers }) => headers['webhook-id'])).size).toBe(2);
  });

  test('that was told is not told a second time by the watch, kept or not', async () => {
    const delivery = await started();
    for (const count of [0, 1_000]) {
      const job = await leased({ retain: { count, ageMs: count } });
      await settle(job);
      await received(1);
      await lookNow(delivery, job);
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(server.received).toHaveLength(1);
      server.received.length = 0;
    }
  });

  test('is looked for again while it has not come, ever more seldom', async () => {
    const delivery = await started();
    const job = await leased();
    await delivery.callbacks.look({ kind: 'watch', queue: job.queue, id: job.id, callbackUrl: server.url, looks: 4 });
    const { jobs } = await engine.queues.jobs(CALLBACK_QUEUE, { states: ['scheduled'], name: 'watch' }, { limit: 100 });
    const watch = jobs.find(({ data }) => data.includes(`"queue":"${job.queue}"`) && data.includes('"looks":5'))!;
    expect(watch.dueAtMs! - watch.enqueuedAtMs).toBeGreaterThan(31 * 60_000);
    expect(server.received).toHaveLength(0);
  });
});
