/**
 * What the fast lane costs Redis, per job: microseconds inside of scripts (`commandstats`), processor time of Redis'
 * main thread with sockets (`INFO cpu`), and bytes of a waiting job. It prints a line for each size of batch.
 *
 *     node services/queue/src/store/fast-lane.bench.ts
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '@plinth/engines';
import type { LeasedJob, NewJob, Settlement } from '../core/job.ts';
import { FastLane } from './fast-lane.ts';
import { RedisStore } from './redis.ts';

const JOBS = 20_000;
const ROUNDS = Number(process.env.R ?? 3);
const DATA = JSON.stringify('x'.repeat(139));

const JOB: NewJob = {
  ...{ name: 'email', data: DATA, runAtMs: 0, priority: 0, attempts: 5, timeoutMs: 0, expiresAtMs: 0, group: '' },
  backoff: { type: 'exponential', delayMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 1 },
  ...{ dedup: undefined, tags: [], retain: { count: 1_000, ageMs: 3_600_000 }, callbackUrl: undefined },
  ...{ failureCallbackUrl: undefined, resultTo: undefined, traceparent: undefined, tracestate: undefined },
};

const CASES: readonly [string, (at: number) => NewJob][] = [
  ['plain', () => JOB],
  ['kept not at all', () => ({ ...JOB, retain: { count: 0, ageMs: 0 } })],
  ['100 groups', (at) => ({ ...JOB, group: `tenant-${at % 100}` })],
  ['priorities', (at) => ({ ...JOB, priority: 1 + (at % 3) })],
];

class FastLaneBench {
  readonly #store: RedisStore;
  readonly #lane: FastLane;

  constructor(store: RedisStore) {
    this.#store = store;
    this.#lane = new FastLane({ store, random: Math.random });
  }

  async run(): Promise<void> {
    console.log(`bytes of a waiting job with ${DATA.length} bytes of data: ${(await this.#bytes()).toFixed(0)}`);
    console.log(
      'per job, median of 3          batch   add: script µs, cpu µs   turn (ack and lease): script µs, cpu µs',
    );
    for (const batch of process.env.B ? [Number(process.env.B)] : [1, 10, 100]) {
      for (const [name, jobAt] of batch === 100 ? CASES : CASES.slice(0, 1)) {
        const rounds: number[][] = [];
        const jobs = Math.min(JOBS, batch * 2_000);
        for (let round = 0; round < ROUNDS; round++) rounds.push(await this.#round(jobs, batch, jobAt));
        const medians = rounds[0]!.map((_, at) =>
          rounds
            .map((round) => round[at]!)
            .sort((a, b) => a - b)[1]!
            .toFixed(2),
        );
        console.log(`${name.padEnd(30)}${String(batch).padEnd(8)}${medians.join('  ')}`);
      }
    }
  }

  async #bytes(): Promise<number> {
    await this.#add('memory', JOBS, 100, () => JOB);
    const before = await this.#info('memory', 'used_memory');
    await this.#add('memory', JOBS, 100, () => JOB);
    return ((await this.#info('memory', 'used_memory')) - before) / JOBS;
  }

  async #add(queue: string, count: number, batch: number, jobAt: (at: number) => NewJob): Promise<void> {
    for (let from = 0; from < count; from += batch) {
      await this.#lane.add(
        queue,
        Array.from({ length: batch }, (_, at) => jobAt(from + at)),
      );
    }
  }

  async #round(count: number, batch: number, jobAt: (at: number) => NewJob): Promise<number[]> {
    const added = await this.#cost(count, () => this.#add('bench', count, batch, jobAt));
    const turned = await this.#cost(count, async () => {
      let leased: readonly LeasedJob[] = [];
      do {
        const acks = leased.map(({ id, token }): Settlement => ({ id, token, kind: 'ack', result: undefined }));
        leased = (await this.#lane.turn('bench', acks, { max: batch, leaseMs: 30_000, worker: 'bench' })).jobs;
      } while (leased.length > 0);
    });
    return [...added, ...turned];
  }

  /** Microseconds a job: inside of scripts, and of Redis' main thread. */
  async #cost(count: number, work: () => Promise<void>): Promise<number[]> {
    const before = await this.#spent();
    await work();
    const after = await this.#spent();
    return after.map((value, at) => (value - before[at]!) / count);
  }

  async #spent(): Promise<number[]> {
    const cpu = await this.#info('cpu', 'used_cpu_user_main_thread');
    const system = await this.#info('cpu', 'used_cpu_sys_main_thread');
    return [await this.#info('commandstats', 'cmdstat_evalsha:calls=\\d+,usec'), (cpu + system) * 1e6];
  }

  async #info(section: string, field: string): Promise<number> {
    const text = await this.#store.ask(() => this.#store.client.info(section));
    return Number(new RegExp(`^${field}[:=]([\\d.]+)`, 'm').exec(text)?.[1] ?? 0);
  }
}

const dir = await mkdtemp(join(tmpdir(), 'plinth-fast-lane-bench-'));
const server = await startRedis({ dir });
const store = new RedisStore({ url: server.url, commandTimeoutMs: 10_000, connectTimeoutMs: 2_000 });
try {
  await store.ready(10_000);
  await new FastLaneBench(store).run();
} finally {
  store.close();
  await server.stop();
  await rm(dir, { recursive: true, force: true });
}
