/**
 * The queue as a user of the bus, on a real nats-server and a real Redis: it does all it does under the permissions of the
 * charts, and nobody else does its work. And the figures that the chart's alerts, dashboard and KEDA name are told.
 */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Client, createClient } from '@plinth/client';
import { kvService } from '@plinth/kv';
import { queueService } from '@plinth/queue';
import { ratelimitService } from '@plinth/ratelimit';
import { type RunningService, startService } from '@plinth/service-kit';
import { eventually, tempDir, withRedis } from '@plinth/testkit';
import { type BusUser, BusUsers } from './bus-users.ts';
import { HAS_HELM, MAILS, NEEDED, objects } from './helm.ts';
import { toldMetrics } from './told-metrics.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const ROOT_KEY = 'plk_root-0123456789abcdef0123456789abcdef';
const PARTNER = 'plk_partner-0123456789abcdef';
const SCALER = 'plk_scaler-0123456789abcdef';
/** An application that enqueues, works, and listens to what becomes of its jobs. */
const SHOP = { shop: { publish: ['plinth.queue.v1.>'], subscribe: ['plinth.queue.v1.events.>'] } };

const given = HAS_HELM ? describe : describe.skip;

given('with the permissions of the charts, the queue', () => {
  const redis = withRedis();
  let users: BusUsers;
  let services: RunningService[] = [];
  let replicas: [RunningService, RunningService];
  let kv: RunningService;
  let limiter: RunningService;
  let shop: BusUser;
  let client: Client;
  const authorized = { authorization: `Bearer ${ROOT_KEY}` };

  beforeAll(async () => {
    users = await BusUsers.start(SHOP);
    const kit = { log: silent };
    const start = (service: Parameters<typeof startService>[0], env: Record<string, string>) =>
      startService(service as typeof kvService, { port: 0, env, kit });
    const folder = tempDir('keys');
    writeFileSync(join(folder, 'root'), ROOT_KEY);
    writeFileSync(
      join(folder, 'keys'),
      [hashed('partner', PARTNER, '*', ' limit=partner'), hashed('keda', SCALER, 'queue:read')].join('\n'),
    );
    const keys = { API_ROOT_KEY_FILE: join(folder, 'root'), API_KEYS_FILE: join(folder, 'keys') };
    kv = await start(kvService as never, { ...users.credentials('kv'), KV_DATA_DIR: tempDir('kv') });
    limiter = await start(ratelimitService as never, {
      ...users.credentials('ratelimit'),
      RATELIMIT_RLS_PORT: '0',
      RATELIMIT_RESP_PORT: '0',
    });
    const env = { ...users.credentials('queue'), ...keys, REDIS_URL: redis.url };
    replicas = [await start(queueService as never, env), await start(queueService as never, env)];
    services = [...replicas, limiter, kv];
    shop = await users.as('shop');
    client = createClient({ nats: shop.bus });
  }, 120_000);
  afterAll(async () => {
    await users?.close();
    for (const service of services) await service.stop();
    await users?.nats.stop();
  });

  const call = (at: RunningService, path: string, body?: object, headers: Record<string, string> = authorized) =>
    fetch(at.url + path, {
      headers: { 'content-type': 'application/json', ...headers },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    });

  test('takes jobs over the bus, tells what becomes of them, and writes the result to the key-value store', async () => {
    const kinds: string[] = [];
    const subscription = shop.bus.subscribe('plinth.queue.v1.events.mails.*', ({ subject }) => {
      kinds.push(subject.split('.').at(-1)!);
    });
    await shop.bus.flush();
    const mails = client.queues.queue('mails');
    const { id } = await mails.enqueue({ name: 'welcome', data: { to: 'ann' }, resultTo: 'kv://results/mails/1' });
    const [job] = await mails.lease({ worker: 'w', waitMs: 20_000 });
    expect(job).toMatchObject({ id, name: 'welcome', data: { to: 'ann' } });
    const [settled] = await mails.settle({ acks: [{ id, token: job!.token, result: { sent: true } }] });
    expect(settled).toMatchObject({ id, state: 'completed' });
    await eventually(() => expect(kinds).toEqual(expect.arrayContaining(['enqueued', 'leased', 'completed'])));
    await eventually(async () =>
      expect(await (await fetch(`${kv.url}/v1/kv/results/mails/1`)).text()).toBe('{"sent":true}'),
    );
    await subscription.stop();
    expect([shop.refused, users.violations]).toEqual([[], []]);
  });

  test('has its replicas wake each other, tell each other of ends, and know each other’s workers', async () => {
    const [one, other] = replicas;
    const queue = '/v1/queues/shared';
    const tookMs: number[] = [];
    for (let round = 0; round < 5; round++) {
      await call(one, `${queue}/jobs`, { name: 'first' });
      const [first] = ((await (await call(other, `${queue}:lease`, {})).json()) as { jobs: Leased[] }).jobs;
      const ended = call(other, `${queue}/jobs/${first!.id}?waitMs=20000`).then((answer) => answer.json());
      const waiting = call(other, `${queue}:lease`, { waitMs: 20_000 }).then((answer) => answer.json());
      await sleep(300);
      const startMs = performance.now();
      await call(one, `${queue}:ack`, { acks: [{ id: first!.id, token: first!.token }] });
      await call(one, `${queue}/jobs`, { name: 'second' });
      expect(await ended).toMatchObject({ id: first!.id, state: 'completed' });
      expect(await waiting).toMatchObject({ jobs: [{ name: 'second' }] });
      tookMs.push(performance.now() - startMs);
    }
    // Without news of the other replica each looks by itself a second later. Others may be busy on this machine.
    expect(tookMs.sort((a, b) => a - b)[2]).toBeLessThan(700);
    await call(one, '/v1/workers/w1:beat', { queues: ['shared'], slots: 4, used: 1 });
    await eventually(async () =>
      expect(await (await call(other, `${queue}/stats`)).json()).toMatchObject({ workers: { count: 1, total: 4 } }),
    );
    expect(users.violations).toEqual([]);
  });

  test('asks the limiter about API keys that have a limit', async () => {
    const rules =
      'domain: api-keys\nrules:\n  - {name: partner, match: {key: "*"}, limit: 4, window: 1h, algorithm: strict}\n';
    expect((await fetch(`${limiter.url}/v1/rules/api-keys`, { method: 'PUT', body: rules })).status).toBe(204);
    const headers = { authorization: `Bearer ${PARTNER}` };
    const enqueue = () => call(replicas[0], '/v1/queues/limited/jobs', { name: 'x' }, headers);
    // What takes longer than the guard waits for is let in.
    await eventually(async () => expect((await enqueue()).status).toBe(429), { timeoutMs: 20_000, intervalMs: 50 });
    expect(users.violations).toEqual([]);
  });

  test('tells KEDA what its ScaledObject asks for, with a key that may only read, also of a queue that is not there', async () => {
    const scaledObjects = [
      { ...MAILS, oldestWaitingMs: 60_000 },
      { ...MAILS, name: 'b', queue: 'nobody', scaleTargetRef: { name: 'b' } },
    ];
    const list = await objects('charts/queue', { values: { ...NEEDED['charts/queue'], keda: { scaledObjects } } });
    const read = (scaled: string) =>
      Promise.all(
        list
          .find(({ kind, metadata }) => kind === 'ScaledObject' && metadata.name === scaled)!
          .spec.triggers.map(async ({ metadata }: { metadata: Record<string, string> }) => {
            const path = new URL(metadata.url!).pathname;
            const answer = await call(replicas[0], path, undefined, { [metadata.keyParamName!]: SCALER });
            expect(answer.status).toBe(200);
            return ((await answer.json()) as Record<string, unknown>)[metadata.valueLocation!];
          }),
      );
    const mails = client.queues.queue('mails');
    await mails.enqueueAll([{ name: 'a' }, { name: 'b' }, { name: 'c' }]);
    const [job] = await mails.lease({});
    await sleep(20);
    const [load, ageMs] = await read('r-queue-mails');
    expect(load).toBe(3);
    expect(ageMs).toBeGreaterThanOrEqual(20);
    expect(await read('r-queue-b')).toEqual([0]);
    await mails.pause();
    expect((await read('r-queue-mails'))[0]).toBe(1);
    await mails.settle({ acks: [{ id: job!.id, token: job!.token }] });
    expect((await read('r-queue-mails'))[0]).toBe(0);
    await mails.resume();
    const headers = { 'Api-Key': SCALER };
    expect((await call(replicas[0], '/v1/queues/mails:pause', {}, headers)).status).toBe(403);
  });

  test('tells the metrics that alerts and the dashboard name', async () => {
    const { named, ...faults } = toldMetrics('queue', await (await call(replicas[0], '/metrics')).text());
    expect(faults).toEqual({ malformed: [], untyped: [], unknown: [] });
    expect(Math.min(...named)).toBeGreaterThan(5);
  });

  test('may write results and ask for limits, and no more', async () => {
    const { connection, refused } = await users.as('queue');
    const subjects = [
      'plinth.kv.v1.delete',
      'plinth.kv.v1.get',
      'plinth.kv.v1.deleteBucket',
      'plinth.ratelimit.v1.reset',
      'plinth.ratelimit.v1.putRules',
      'plinth.queue.v1.removeQueue',
      '$JS.API.STREAM.CREATE.own',
      '$KV.plinth-ratelimit-members.x',
    ];
    for (const subject of subjects) connection.publish(subject, '{}');
    const heard = ['plinth.kv.v1.events.>', '_INBOX_kv.>', '$JS.EVENT.>'];
    for (const subject of heard) connection.subscribe(subject, { callback: () => {} });
    await connection.flush();
    await eventually(() => expect(refused).toEqual(expect.arrayContaining([...subjects, ...heard])));
  });

  test('is spoken for, listened to or worked with by no other service', async () => {
    for (const user of ['kv', 'ratelimit']) {
      const { connection, refused } = await users.as(user);
      const subjects = [
        'plinth.queue.v1.enqueue',
        'plinth.queue.v1.lease',
        'plinth.queue.v1.wake.mails',
        'plinth.queue.v1.workers',
        'plinth.queue.v1.events.mails.completed',
      ];
      for (const subject of subjects) connection.publish(subject, '{}');
      const heard = ['plinth.queue.v1.>', '_INBOX_queue.>'];
      for (const subject of heard) connection.subscribe(subject, { callback: () => {} });
      await connection.flush();
      await eventually(() => expect(refused).toEqual(expect.arrayContaining([...subjects, ...heard])));
    }
  });
});

interface Leased {
  id: string;
  token: string;
}

const hashed = (name: string, key: string, scope: string, more = ''): string =>
  `${name} ${createHash('sha256').update(key).digest('hex')} ${scope}${more}`;
