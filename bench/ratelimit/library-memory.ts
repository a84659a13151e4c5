/**
 * How much a library keeps for a key, in its own process:
 *
 *     node --expose-gc library-memory.ts <name of a library>
 *
 * Counted are resident pages, after a collection on both sides, for half a million keys that are in the limiter alone:
 * nobody else holds them. One measurement a process, since memory given back is not always returned.
 */
import { workOff } from '../driver-main.ts';
import { type LibraryName, library } from './library.ts';

const KEYS = 500_000;
/** Before the baseline, so that compiled code and the first tables are not counted. */
const WARM_UP_KEYS = 1_000;

const { take } = library(process.argv[2] as LibraryName, 'plenty');

await workOff(async () => {
  await fill('warm-up', WARM_UP_KEYS);
  const before = settledRssBytes();
  const startedMs = performance.now();
  await fill('user', KEYS);
  const elapsedMs = performance.now() - startedMs;
  return { decisions: KEYS, elapsedMs, bytesPerKey: (settledRssBytes() - before) / KEYS };
});

async function fill(prefix: string, keys: number): Promise<void> {
  for (let number = 0; number < keys; number++) {
    if (!(await take(`${prefix}:${number}`))) throw new Error('a fresh key was denied');
  }
}

function settledRssBytes(): number {
  for (let times = 0; times < 3; times++) globalThis.gc!();
  return process.memoryUsage.rss();
}
