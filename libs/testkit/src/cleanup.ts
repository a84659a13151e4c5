/**
 * Ends what a test file started.
 *
 * Jest gives each test file its own copy of this module, so the list below is per file. It runs after the file's last
 * test, latest first, whether or not the test ended its things itself. Outside jest (a bench, a tour) the process runs
 * the same list when its event loop is empty; what must go even on a crash watches its parent by itself.
 */
type Cleanup = () => Promise<void> | void;

const cleanups: Cleanup[] = [];

/** Has something done after this test file, latest first. It must bear being done when all is gone already. */
export function onFileEnd(cleanup: Cleanup): void {
  cleanups.push(cleanup);
}

async function runCleanups(): Promise<void> {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) await cleanup();
}

const { afterAll } = globalThis as { afterAll?: (hook: () => Promise<void>) => void };
if (afterAll) afterAll(runCleanups);
else process.once('beforeExit', runCleanups);
