/**
 * A worker at its defaults, to be killed, or to take over what a killed one had:
 *
 *     node recovery-worker.ts <bullmq|plinth> <url> <victim|heir> <queue>…
 *
 * A victim enqueues one job in each queue and never finishes it. Both say `ready`, and `started <queue>` for each job.
 */
import { Queue, Worker } from 'bullmq';
import { openPlinthQueue } from './plinth-queue.ts';

const [who, url, role, ...queues] = process.argv.slice(2) as [string, string, 'victim' | 'heir', ...string[]];

async function handle(queue: string): Promise<void> {
  console.log(`started ${queue}`);
  if (role === 'victim') await new Promise(() => setInterval(() => {}, 60_000));
}

async function openBullmq(name: string): Promise<void> {
  const { hostname: host, port } = new URL(url);
  const connection = { host, port: Number(port), maxRetriesPerRequest: null };
  if (role === 'victim') await new Queue(name, { connection }).add('job', {});
  await new Worker(name, () => handle(name), { connection }).waitUntilReady();
}

async function openPlinth(name: string): Promise<void> {
  const queue = openPlinthQueue({ url, queue: name });
  if (role === 'victim') await queue.enqueue([{ name: 'job', data: {} }]);
  await queue.work(() => handle(name), {});
}

for (const queue of queues) await (who === 'bullmq' ? openBullmq(queue) : openPlinth(queue));
console.log('ready');
