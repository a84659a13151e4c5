/** A thread that knows where to log from the one that started it. */
import { Worker, workerData } from 'node:worker_threads';
import { threadLogger } from '../src/threads/threads.ts';

const { depth, lines } = workerData as { depth: number; lines: number };
const log = threadLogger({ base: { depth } });
for (let number = 0; number < lines; number++) log.info({ number }, 'from a thread');
if (depth < 2) new Worker(new URL(import.meta.url), { workerData: { depth: depth + 1, lines }, execArgv: [] });
