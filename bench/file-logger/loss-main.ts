/** A process that logs and ends badly. `node loss-main.ts '{"name":…,"path":…,"ending":"throw","calls":1000,…}'` */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { openLogger } from './loggers.ts';
import { type Farewell, fly, say } from './losing.ts';
import type { ProducerData } from './producer-thread.ts';
import { subjectOf } from './subjects.ts';

export interface LossTask extends Farewell {
  name: string;
  path: string;
}

/** What process.exit() is called with: seen from outside, it tells that nothing else ended the process. */
const EXIT_CODE = 3;

const ENDERS = {
  exit: () => process.exit(EXIT_CODE),
  throw: () =>
    queueMicrotask(() => {
      throw new Error('thrown to end this process');
    }),
  SIGTERM: () => void process.kill(process.pid, 'SIGTERM'),
  SIGKILL: () => {},
};

async function main({ name, path, ...farewell }: LossTask): Promise<void> {
  const { producers } = subjectOf(name);
  // A server lives on; what ends this one is the end alone.
  setInterval(() => {}, 1_000);
  if (producers > 0) return withThreads(name, path, producers, farewell);
  const logger = await openLogger(name, { path });
  await say(logger);
  console.log('ready');
  await fly(logger, farewell);
  ENDERS[farewell.ending]();
}

async function withThreads(name: string, path: string, producers: number, farewell: Farewell): Promise<void> {
  // Of ours, the main thread starts the writer; pino's threads share nothing.
  if (name.startsWith('plinth')) await openLogger(name, { path });
  const file = new URL('./producer-thread.ts', import.meta.url);
  const threads = Array.from({ length: producers }, (_, at) => {
    const counterPath = `${farewell.counterPath}-${at}`;
    const workerData: ProducerData = { name, path, farewell: { ...farewell, counterPath } };
    return new Worker(file, { workerData });
  });
  const all = () => Promise.all(threads.map((thread) => once(thread, 'message')));
  await all();
  console.log('ready');
  for (const thread of threads) thread.postMessage('go');
  await all();
  ENDERS[farewell.ending]();
}

await main(JSON.parse(process.argv[2]!) as LossTask);
