/** The lane's own scripts write what BullMQ's write: fields, places and events, at each step of a job's common way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { withRedis } from '@plinth/testkit';
import { type JobsOptions, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { NewJob } from '../../core/job.ts';
import { newJob } from '../lane-bench.contract.ts';
import { StandardLane } from '../standard-lane.ts';

const redis = withRedis();
let lane: StandardLane;
let client: Redis;
beforeAll(async () => {
  lane = await StandardLane.open({ url: redis.url });
  client = new Redis(redis.url);
});
afterAll(async () => {
  client.disconnect();
  await lane.stop();
});

/** Times differ from run to run, and the order of members of options from library to library. */
function comparable([field, value]: [string, string]): [string, unknown] {
  if (['timestamp', 'processedOn', 'finishedOn'].includes(field)) return [field, /^\d{13}$/.test(value)];
  return field === 'opts' ? [field, JSON.parse(value)] : [field, value];
}

/** Of a delayed job the time when it is due. */
const eventOf = (fields: string[]) => fields.map((word) => (/^\d{13}$/.test(word) ? 'time' : word)).join(' ');

/** All that BullMQ knows of a queue. */
async function pictureOf(name: string): Promise<Record<string, unknown>> {
  const base = `bull:${name}:`;
  const picture: Record<string, unknown> = {};
  for (const key of (await client.keys(`${base.replace(/[{}]/g, '\\$&')}*`)).sort()) {
    const part = key.slice(base.length);
    if (part.startsWith('plinth:') || part.endsWith(':lock')) continue;
    const type = await client.type(key);
    if (type === 'hash') {
      const fields = Object.entries(await client.hgetall(key)).map(comparable);
      // What libraries say of themselves.
      picture[part] = Object.fromEntries(fields.filter(([field]) => field !== 'version'));
    } else if (type === 'list') picture[part] = await client.lrange(key, 0, -1);
    else if (type === 'zset') picture[part] = (await client.zrange(key, 0, '-1')).sort();
    else if (type === 'set') picture[part] = (await client.smembers(key)).sort();
    else if (type === 'stream')
      picture[part] = (await client.xrange(key, '-', '+')).map(([, fields]) => eventOf(fields));
    else picture[part] = await client.get(key);
  }
  return picture;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function nativePair(queue: string) {
  const name = `{native-${queue}}`;
  const connection = { host: '127.0.0.1', port: redis.port };
  const native = new Queue(name, { connection });
  const worker = new Worker(name, null, { connection, autorun: false, name: 'tester' });
  await Promise.all([native.waitUntilReady(), worker.waitUntilReady()]);
  closing.push(() => Promise.all([worker.close(), native.close()]));
  return { name, native, worker };
}

const wishes: Record<string, Partial<NewJob>> = {
  'waits in line': {},
  'waits with a priority': { priority: 7 },
  'waits for its time': { runAtMs: 1 },
  'leaves nothing behind': { retain: { count: 0, ageMs: 0 } },
  'is traced': { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' },
};

test.each(Object.entries(wishes))('a job that %s', async (title, wish) => {
  const queue = title.replaceAll(' ', '-');
  const ours = lane.nativeName(queue);
  const { name: theirs, native, worker } = await nativePair(queue);
  const same = async () => expect(await pictureOf(ours)).toEqual(await pictureOf(theirs));
  // What BullMQ writes of a queue when it is opened.
  await client.hset(`bull:${ours}:meta`, await client.hgetall(`bull:${theirs}:meta`));
  const isLater = wish.runAtMs !== undefined;
  const jobs = Array.from({ length: 3 }, (_, at) => ({ name: `job${at}`, data: { at } }));
  const runAtMs = isLater ? Date.now() + 2_500 : 0;
  await lane.add(
    queue,
    jobs.map(({ name, data }) => newJob({ ...wish, runAtMs, name, data: JSON.stringify(data) })),
  );
  const stored = JSON.parse((await client.hget(`bull:${ours}:1`, 'opts'))!) as JobsOptions & { tm?: string };
  const { tm, ...opts } = stored;
  const options = tm === undefined ? opts : { ...opts, telemetry: { metadata: tm } };
  for (const { name, data } of jobs) await native.add(name, data, options);
  await same();
  if (isLater) await sleep(2_550);
  const { jobs: leased } = await lane.lease(queue, { max: 2, leaseMs: 60_000, worker: 'tester' });
  const held = [await worker.getNextJob('1'), await worker.getNextJob('2')];
  expect(leased.map(({ id }) => id)).toEqual(held.map((job) => job!.id));
  await same();
  for (const { id, token } of leased) await lane.settle(queue, [{ id, token, kind: 'ack', result: '{"sum":1}' }]);
  for (const job of held) await job!.moveToCompleted({ sum: 1 }, job!.token!, false);
  await same();
  const [last] = (await lane.lease(queue, { max: 2, leaseMs: 60_000, worker: 'tester' })).jobs;
  await lane.settle(queue, [{ id: last!.id, token: last!.token, kind: 'ack', result: undefined }]);
  const lastOfTheirs = await worker.getNextJob('3');
  await lastOfTheirs!.moveToCompleted(undefined, '3', false);
  await same();
});
