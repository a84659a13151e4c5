/**
 * Loading a service leaves some 10 MB of garbage behind, and V8, which collects when memory is asked for, keeps it for
 * as long as the service is idle. So it is asked once, a moment after the start.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type CollectGarbage = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** When the first requests have come and gone, and a pause of 20 ms is nobody's. */
const AFTER_MS = 1_000;

/** Gives the memory of the start back to the system, once. Does not keep the process alive. */
export function giveStartGarbageBack(): void {
  setTimeout(() => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as CollectGarbage;
    collectGarbage({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, AFTER_MS).unref();
}
