/** Pushing, on a real Redis and to real servers. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually, freePort, withRedis } from '@plinth/testkit';
import { Webhook } from 'standardwebhooks';
import type { PushTarget } from '../core/queue-definition.ts';
import { newJob, openReplica, type Replica } from '../core/queues.fixture.ts';
import { HookServer } from './hook-server.fixture.ts';
import { PushDispatcher, type PushEvent } from './push-dispatcher.ts';
import { newSecret, readPushTarget } from './push-target.ts';

const redis = withRedis();
const log = { info: () => {}, warn: () => {} };
const clock = { now: Date.now, random: Math.random };
const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

let engine: Replica;
const stops: (() => Promise<unknown>)[] = [];
beforeAll(async () => {
  engine = await openReplica(redis.url);
});
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});
afterAll(() => engine.stop());

let count = 0;

interface Pushed {
  queue: string;
  server: HookServer;
  target: PushTarget;
  dispatcher: PushDispatcher;
  events: PushEvent[];
  ids: string[];
  states(): Promise<string[]>;
}

/** A queue with a target of its own, and jobs in it. */
async function pushed(
  options: {
    jobs?: number;
    job?: Parameters<typeof newJob>[0];
    target?: Partial<PushTarget>;
    prepare?: (server: HookServer) => void;
    leaseMs?: number;
  } = {},
): Promise<Pushed> {
  count += 1;
  const queue = `push-${count}`;
  const server = await new HookServer().start();
  stops.push(() => server.stop());
  options.prepare?.(server);
  const target = readPushTarget({ url: server.url, ...options.target }, { allowPrivateTargets: true });
  await engine.queues.define(queue, { push: target });
  const jobs = Array.from({ length: options.jobs ?? 1 }, (_, n) => newJob({ data: `{"n":${n}}`, ...options.job }));
  const ids = (await engine.queues.enqueue(queue, jobs)).map((added) => ('id' in added ? added.id : ''));
  const events: PushEvent[] = [];
  const dispatcher = startDispatcher(engine, events, options.leaseMs);
  const states = () => Promise.all(ids.map(async (id) => (await engine.queues.job(queue, id))!.state));
  return { queue, server, target, dispatcher, events, ids, states };
}

function startDispatcher(on: Replica, events: PushEvent[] = [], leaseMs?: number): PushDispatcher {
  const onEvent = (event: PushEvent) => void events.push(event);
  const dispatcher = new PushDispatcher({
    engine: on.queues,
    clock,
    log,
    allowPrivateTargets: true,
    onEvent,
    leaseMs,
    lookMs: 50,
  });
  dispatcher.start();
  stops.push(() => dispatcher.stop(0));
  return dispatcher;
}

const all = (states: string[], state: string) => states.length > 0 && states.every((one) => one === state);

/** Once all of its jobs are in this state. */
const ended = (one: Pushed, state: string) =>
  eventually(async () => all(await one.states(), state), { timeoutMs: 30_000, intervalMs: 50 });

describe('a job', () => {
  test('is posted, signed and traced, and its answer is its result', async () => {
    const secrets = [newSecret(), newSecret()];
    const one = await pushed({
      job: {
        data: '{"big":12345678901234567890,"text":"ü"}',
        group: 'tenant',
        tags: ['a', 'b'],
        traceparent: TRACEPARENT,
      },
      target: { secret: secrets.join(' '), headers: { authorization: 'Bearer key' } },
      prepare: (server) => {
        server.answer = (response) => response.end('{"sent": true}');
      },
    });
    await ended(one, 'completed');
    const { headers, body } = one.server.received[0] as { headers: Record<string, string>; body: string };
    for (const secret of secrets) new Webhook(secret).verify(body, headers);
    expect(body).toContain('"data":{"big":12345678901234567890,"text":"ü"}}');
    expect(JSON.parse(body)).toEqual({
      id: one.ids[0],
      name: 'test',
      attempt: 1,
      attempts: 5,
      queue: one.queue,
      group: 'tenant',
      tags: ['a', 'b'],
      enqueuedAt: expect.stringMatching(/^20\d\d-.*Z$/),
      data: expect.anything(),
    });
    expect(headers).toMatchObject({
      'webhook-id': `job_${one.queue}_${one.ids[0]}`,
      'content-type': 'application/json',
      authorization: 'Bearer key',
      traceparent: TRACEPARENT,
      'plinth-attempt': '1',
      'plinth-queue': one.queue,
      'plinth-lease-token': expect.stringMatching(/^\d+$/),
    });
    expect((await engine.queues.job(one.queue, one.ids[0]!))!.result).toBe('{"sent": true}');
  });

  test('that fails is posted again with the same id, a new attempt and a new token', async () => {
    const one = await pushed({
      prepare: (server) => {
        server.answer = (response, _, n) => response.writeHead(n < 3 ? 500 : 204).end();
      },
    });
    await ended(one, 'completed');
    const { received } = one.server;
    expect(received.map(({ headers }) => headers['plinth-attempt'])).toEqual(['1', '2', '3']);
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(new Set(received.map(({ headers }) => headers['plinth-lease-token'])).size).toBe(3);
    const { history } = (await engine.queues.job(one.queue, one.ids[0]!))!;
    expect(history.map(({ outcome, error }) => error?.type ?? outcome)).toEqual(['http_500', 'http_500', 'completed']);
  });

  test.each([
    ['489', 489, {}],
    ['a word not to', 500, { 'plinth-no-retry': 'true' }],
  ])('that is answered with %s is dead after one call', async (_, status, headers) => {
    const one = await pushed({
      prepare: (server) => {
        server.answer = (response) => response.writeHead(status, headers as Record<string, string>).end('never');
      },
    });
    await ended(one, 'dead');
    expect(one.server.received).toHaveLength(1);
    expect((await engine.queues.job(one.queue, one.ids[0]!))!.error?.message).toContain('never');
  });

  test('longer under way than its lease is renewed, and posted once', async () => {
    const one = await pushed({
      leaseMs: 3_000,
      prepare: (server) => {
        server.answer = (response) => void setTimeout(() => response.end('1'), 5_000);
      },
    });
    await ended(one, 'completed');
    expect(one.server.received).toHaveLength(1);
    expect((await engine.queues.job(one.queue, one.ids[0]!))!.stalls).toBe(0);
  });

  test('that is cancelled while it is under way has its call broken off', async () => {
    let isClosed = false;
    const one = await pushed({
      leaseMs: 3_000,
      prepare: (server) => {
        server.answer = (response) =>
          void response.on('close', () => {
            isClosed = true;
          });
      },
    });
    await eventually(() => one.server.received.length === 1);
    await engine.queues.cancel(one.queue, one.ids, 'changed my mind');
    await ended(one, 'cancelled');
    await eventually(() => isClosed);
  });

  test('left to the target is settled by the token that came with it', async () => {
    const one = await pushed({
      leaseMs: 3_000,
      prepare: (server) => {
        server.answer = (response) => response.writeHead(202, { 'plinth-ack': 'later' }).end();
      },
    });
    await eventually(() => one.dispatcher.figures().get(one.queue)?.totals.later === 1);
    // Beyond the lease that the dispatcher had.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(await one.states()).toEqual(['leased']);
    const token = String(one.server.received[0]!.headers['plinth-lease-token']);
    const ack = { kind: 'ack', id: one.ids[0]!, token, result: '"late"' } as const;
    expect(await engine.queues.settle(one.queue, [ack])).toMatchObject([{ state: 'completed' }]);
    expect(one.server.received).toHaveLength(1);
  });

  test('that took longer than its own timeout has failed by it', async () => {
    const one = await pushed({
      job: { attempts: 1 },
      target: { timeoutMs: 200 },
      prepare: (server) => {
        server.answer = () => {};
      },
    });
    await ended(one, 'dead');
    expect((await engine.queues.job(one.queue, one.ids[0]!))!.error).toMatchObject({ type: 'timeout' });
  });
});

describe('a target', () => {
  test('is never given more calls at a time than its concurrency, and as many as that', async () => {
    let areFive = () => {};
    const five = new Promise<void>((resolve) => {
      areFive = resolve;
    });
    const one = await pushed({
      jobs: 60,
      target: { concurrency: 5 },
      prepare: (server) => {
        // Nobody is answered before as many have called as may.
        server.answer = async (response, _, n) => {
          if (n === 5) areFive();
          await five;
          setTimeout(() => response.end(), 10);
        };
      },
    });
    await ended(one, 'completed');
    expect(one.server.most).toBe(5);
    expect(one.server.received).toHaveLength(60);
    expect(one.server.connections).toBeLessThanOrEqual(5);
  });

  test('is never given more calls than its rate', async () => {
    const startMs = Date.now();
    const one = await pushed({ jobs: 30, target: { ratePerSecond: 10 } });
    await eventually(() => one.server.received.length === 30, { timeoutMs: 30_000 });
    // The burst of ten, then ten each second.
    for (const [n, { atMs }] of one.server.received.entries())
      expect(atMs - startMs).toBeGreaterThanOrEqual((n - 9) * 100 - 5);
  });

  test('that asks for a pause gets it, for all of its jobs, and then a slow start', async () => {
    let refusedAtMs = 0;
    let answeredAtMs = 0;
    const isPaused = () => (one.dispatcher.figures().get(one.queue)?.pausedMs ?? 0) > 0;
    const one = await pushed({
      jobs: 20,
      target: { concurrency: 4 },
      prepare: (server) => {
        server.answer = async (response, _, n) => {
          if (n === 4) {
            refusedAtMs = Date.now();
            response.writeHead(429, { 'retry-after': '1' }).end();
          } else if (n < 4) {
            // Those that were under way already end well, once the pause is known.
            await eventually(isPaused, { timeoutMs: 20_000 });
            response.end();
          } else {
            await new Promise((resolve) => setTimeout(resolve, 30));
            answeredAtMs ||= Date.now();
            response.end();
          }
        };
      },
    });
    await ended(one, 'completed');
    const times = one.server.received.map(({ atMs }) => atMs);
    expect(times).toHaveLength(21);
    expect(times[4]! - refusedAtMs).toBeGreaterThan(900);
    // One by itself first: the next comes only after its answer.
    expect(times[5]).toBeGreaterThanOrEqual(answeredAtMs);
  });

  test('that cannot be reached is tried ever more seldom, and is served when it is back', async () => {
    const one = await pushed({
      jobs: 5,
      job: { attempts: 20 },
      target: { url: `http://127.0.0.1:${await freePort()}/` },
    });
    await eventually(() => (one.dispatcher.figures().get(one.queue)?.pausedMs ?? 0) > 1_000, {
      timeoutMs: 30_000,
    });
    const { totals } = one.dispatcher.figures().get(one.queue)!;
    // The first five together, and then one at a time that asks whether it is back.
    expect(totals.fail).toBeLessThanOrEqual(8);
    const server = await new HookServer().start(Number(new URL(one.target.url).port));
    stops.push(() => server.stop());
    await ended(one, 'completed');
  });

  test('that is gone is disabled and told of, and its jobs wait for another', async () => {
    const one = await pushed({
      jobs: 3,
      target: { concurrency: 1 },
      prepare: (server) => {
        server.answer = (response) => response.writeHead(410).end();
      },
    });
    await eventually(() => one.events.length === 1, { timeoutMs: 15_000 });
    expect(one.events[0]).toEqual({
      kind: 'push-disabled',
      queue: one.queue,
      url: one.server.url,
      reason: 'the target answered 410 Gone',
    });
    expect((await engine.queues.definition(one.queue))!.push!.disabledReason).toBe('the target answered 410 Gone');
    await ended(one, 'waiting');
    expect((await engine.queues.job(one.queue, one.ids[0]!))!.attempt).toBeLessThanOrEqual(1);

    one.server.answer = (response) => response.end();
    await engine.queues.define(one.queue, { push: one.target });
    await ended(one, 'completed');
    expect(one.server.received).toHaveLength(4);
  });

  test('that is changed gets no more calls, the new one does', async () => {
    const one = await pushed({ jobs: 1 });
    await ended(one, 'completed');
    const other = await new HookServer().start();
    stops.push(() => other.stop());
    await engine.queues.define(one.queue, { push: { ...one.target, url: other.url } });
    await eventually(
      async () => {
        await engine.queues.enqueue(one.queue, [newJob()]);
        return other.received.length > 0;
      },
      { timeoutMs: 15_000, intervalMs: 200 },
    );
    // Those that were on their way to the old one too.
    await eventually(async () => {
      const { counts } = await engine.queues.stats(one.queue);
      expect(counts).toMatchObject({ waiting: 0, leased: 0 });
    });
    const [before, otherBefore] = [one.server.received.length, other.received.length];
    await engine.queues.enqueue(one.queue, [newJob()]);
    await eventually(() => other.received.length > otherBefore);
    expect(one.server.received).toHaveLength(before);
  });
});

describe('a dispatcher', () => {
  test('that stops gives back what is under way, and the next one sends it again', async () => {
    const one = await pushed({
      prepare: (server) => {
        server.answer = (response, _, n) => void (n > 1 && response.end());
      },
    });
    await eventually(() => one.server.received.length === 1);
    await one.dispatcher.stop(50);
    expect(await one.states()).toEqual(['waiting']);
    startDispatcher(engine);
    await ended(one, 'completed');
    expect(new Set(one.server.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(one.server.received.map(({ headers }) => headers['plinth-attempt'])).toEqual(['1', '1']);
  });

  test('shares a queue with that of another replica, without any job sent twice', async () => {
    const second = await openReplica(redis.url);
    const other = startDispatcher(second);
    stops.push(() => second.stop());
    const one = await pushed({ jobs: 200, target: { concurrency: 8 } });
    await ended(one, 'completed');
    expect(one.server.received).toHaveLength(200);
    await other.stop(0);
  });
});
