/**
 * A library under load in its own process:
 *
 *     node library-load.ts <name of a library, or `nothing`>
 *
 * `nothing` is an empty function asked in the same way: the floor of this measurement.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { workOff } from '../driver-main.ts';
import { type LibraryName, library } from './library.ts';
import { drawer, KEYS, keyOf } from './workload.ts';

/** Asked between two looks at the clock. */
const BATCH = 20_000;

const name = process.argv[2] as LibraryName | 'nothing';
const { take } = name === 'nothing' ? { take: (key: string) => key !== '' } : library(name, 'plenty');
const keys = Array.from({ length: KEYS }, (_, number) => keyOf(number));

await workOff(async (task) => {
  const draw = drawer(task.seed, KEYS);
  // Drawn beforehand: the draw would cost as much as the fastest decision.
  const order = Array.from({ length: BATCH }, () => keys[draw()]!);
  const startedMs = performance.now();
  const endMs = startedMs + task.seconds * 1_000;
  let decisions = 0;
  while (performance.now() < endMs) {
    const allowed = take(order[0]!) instanceof Promise ? await askPromises(order) : ask(order);
    if (allowed !== BATCH) throw new Error(`${name} denied ${BATCH - allowed} of ${BATCH}`);
    decisions += BATCH + 1;
    // Their timers are part of what they cost.
    await turn();
  }
  return { decisions, elapsedMs: performance.now() - startedMs };
});

function ask(order: readonly string[]): number {
  let allowed = 0;
  for (const key of order) if (take(key)) allowed++;
  return allowed;
}

async function askPromises(order: readonly string[]): Promise<number> {
  let allowed = 0;
  for (const key of order) if (await take(key)) allowed++;
  return allowed;
}
