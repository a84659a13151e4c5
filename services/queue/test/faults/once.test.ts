/** Calls with an idempotency key, repeated by callers who did not hear: the service and the store are killed meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import type { AddedAnswer } from '@plinth/contracts/queue';
import { eventually, type SeededRandom, seededRandom } from '@plinth/testkit';
import { LIMIT_MS, sized, tell } from './sizes.ts';
import { World } from './world.ts';

const CALLERS = 16;
const JOBS_PER_CALL = 5;

interface Book {
  /** The ids that each call was first told. */
  readonly told: Map<string, string>;
  calls: number;
  repeats: number;
}

/** Asks until it is answered, and then once more: both answers must name the same jobs. */
async function callOnce({ api }: World, number: number, book: Book): Promise<void> {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': `call-${number}` };
  const body = JSON.stringify(Array.from({ length: JOBS_PER_CALL }, (_, at) => ({ name: 'n', data: [number, at] })));
  for (let answers = 0; answers < 2; ) {
    const ids = await fetch(`${api.url}/v1/queues/${api.queue}/jobs`, { method: 'POST', headers, body })
      .then(async (response) => (response.ok ? ((await response.json()) as { jobs: AddedAnswer[] }) : undefined))
      .then((answer) => answer?.jobs.map(({ id }) => id).join())
      .catch(() => undefined);
    book.calls += 1;
    if (ids === undefined) {
      book.repeats += 1;
      await sleep(30);
      continue;
    }
    answers += 1;
    expect(book.told.get(`${number}`) ?? ids).toBe(ids);
    book.told.set(`${number}`, ids);
  }
}

/** All calls, while faults come and go. @returns When all are answered. */
async function callAll(world: World, calls: number, book: Book): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < calls) await callOnce(world, next++, book);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

/** The service and the store in turns. */
async function killAndMend({ service, redis }: World, random: SeededRandom, isService: boolean): Promise<void> {
  await sleep(100 + random.int(400));
  await (isService ? service.kill() : redis.kill());
  await sleep(random.int(300));
  await (isService ? service.startAgain() : redis.start());
}

test.each(['fast', 'standard'] as const)(
  'on the lane %s a service and a store that are killed make no call happen twice, and none not at all',
  async (lane) => {
    const random = seededRandom();
    const world = await World.open({ lane, appendFsync: 'always' });
    const calls = sized({ short: lane === 'fast' ? 1_000 : 300, long: 4_000 });
    const book: Book = { told: new Map(), calls: 0, repeats: 0 };
    let isDone = false;
    const all = callAll(world, calls, book).finally(() => {
      isDone = true;
    });
    let kills = 0;
    while (!isDone && kills < sized({ short: 2, long: 6 })) await killAndMend(world, random, kills++ % 2 === 0);
    await all;
    world.enqueued = calls * JOBS_PER_CALL;
    tell(`once, ${lane}`, { calls, jobs: world.enqueued, kills, repeats: book.repeats, asked: book.calls });
    const ids = [...book.told.values()].flatMap((each) => each.split(','));
    expect(new Set(ids).size).toBe(world.enqueued);
    // The store's last death may have come after the last answer.
    await eventually(() => world.api.stats(), { timeoutMs: 30_000 });
    await world.assertWhole();
  },
  LIMIT_MS,
);
