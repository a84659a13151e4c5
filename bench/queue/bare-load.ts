/**
 * The physical line: Redis alone, with the fewest commands that a job with a lease needs, in pipelines as large as our
 * batches. It retries nothing, checks no token and knows no group; nobody who does can be faster on the same Redis.
 *
 *     node bare-load.ts <url of its Redis>
 *
 * A job costs HSET and LPUSH, then RPOP, ZADD and HGET, then ZREM and HDEL.
 */
import { type ChainableCommander, Redis } from 'ioredis';
import { workOff } from '../driver-main.ts';
import { enqueueAll } from './pace.ts';
import type { QueueEffort, QueueTask } from './task.ts';
import { BATCH, dataOf } from './workload.ts';

const redis = new Redis(process.argv[2]!);
const KEYS = { data: 'bare:data', waiting: 'bare:waiting', leases: 'bare:leases' } as const;
const LEASE_MS = 30_000;

async function answersOf(pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = (await pipeline.exec())!;
  const failed = answers.find(([error]) => error !== null);
  if (failed !== undefined) throw failed[0]!;
  return answers.map(([, answer]) => answer);
}

function enqueue(first: number, count: number): Promise<unknown> {
  const pipeline = redis.pipeline();
  for (let number = first; number < first + count; number++) {
    pipeline.hset(KEYS.data, String(number), JSON.stringify(dataOf(number)));
    pipeline.lpush(KEYS.waiting, String(number));
  }
  return answersOf(pipeline);
}

/** One batch from waiting to gone. @returns Jobs that were there. */
async function turn(): Promise<number> {
  const taking = redis.pipeline();
  for (let index = 0; index < BATCH; index++) taking.rpop(KEYS.waiting);
  const ids = (await answersOf(taking)).filter((id) => id !== null) as string[];
  if (ids.length === 0) return 0;
  const leasing = redis.pipeline();
  const deadlineMs = Date.now() + LEASE_MS;
  for (const id of ids) leasing.zadd(KEYS.leases, deadlineMs, id).hget(KEYS.data, id);
  for (const data of (await answersOf(leasing)).filter((_, index) => index % 2 === 1)) JSON.parse(data as string);
  const settling = redis.pipeline();
  for (const id of ids) settling.zrem(KEYS.leases, id).hdel(KEYS.data, id);
  await answersOf(settling);
  return ids.length;
}

async function processAll(jobs: number): Promise<void> {
  for (let left = jobs; left > 0; ) {
    const taken = await turn();
    if (taken === 0) throw new Error(`${left} jobs are missing`);
    left -= taken;
  }
}

await workOff<QueueTask, QueueEffort>(async ({ phase, jobs }) => {
  const startedMs = performance.now();
  if (phase === 'clear') await redis.flushall();
  else if (phase === 'process') await processAll(jobs);
  else await enqueueAll({ jobs, perCall: BATCH, inFlight: 1 }, enqueue);
  return { jobs, elapsedMs: performance.now() - startedMs };
});
