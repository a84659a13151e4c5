/** `npm run down`: stops the suite, whether its supervisor lives or was killed. */
import { LockFile } from '@plinth/engines';
import { homeOf } from './layout.ts';
import { endProcess, reapStrays } from './strays.ts';

/** Longer than any service may drain; past it the supervisor itself is stuck. */
const STOP_TIMEOUT_MS = 60_000;

/** Runs `down`. Returns 0 when nothing runs afterwards, also when nothing ran before. */
export async function runDown(): Promise<number> {
  const home = homeOf(process.env);
  const startMs = Date.now();
  const holder = new LockFile(home.lockFile).holder();
  if (holder) {
    console.log(`stopping the suite (supervisor pid ${holder.pid})`);
    await endProcess(holder, STOP_TIMEOUT_MS);
  }
  await reapStrays(home, console.log);
  console.log(holder ? `stopped in ${((Date.now() - startMs) / 1000).toFixed(1)} s` : 'The suite is not running.');
  return 0;
}
