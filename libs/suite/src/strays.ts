/** Ends what a killed supervisor left behind. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcess, type ProcessIdentity } from '@plinth/engines';
import type { Home } from './layout.ts';
import { readState, removeState } from './state-file.ts';

/** Services notice the supervisor's death and drain by themselves; this long we only wait. */
const TERM_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 5_000;

/** Stops every process of the last state that still runs, and forgets that state. No supervisor may be running. */
export async function reapStrays(home: Home, say: (line: string) => void): Promise<void> {
  const strays = (readState(home.stateFile)?.processes ?? []).filter(isSameProcess);
  await Promise.all(
    strays.map(async (stray) => {
      say(`stopping ${stray.name} (pid ${stray.pid}), left behind when the last run was killed`);
      await endProcess(stray);
    }),
  );
  removeState(home.stateFile);
}

/** Asks a process to end; makes it, when it does not. Resolves when it is gone. */
export async function endProcess(target: ProcessIdentity, termTimeoutMs = TERM_TIMEOUT_MS): Promise<void> {
  if (await signalAndWait(target, 'SIGTERM', termTimeoutMs)) return;
  await signalAndWait(target, 'SIGKILL', KILL_TIMEOUT_MS);
}

async function signalAndWait(target: ProcessIdentity, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + timeoutMs;
  if (isSameProcess(target)) process.kill(target.pid, signal);
  while (isSameProcess(target)) {
    if (Date.now() > deadlineMs) return false;
    await sleep(25);
  }
  return true;
}
