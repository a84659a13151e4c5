/**
 * What runs, written by the supervisor at every change and read by `status`, `down` and the next `up`.
 *
 * A file rather than a socket: it can be read when the supervisor is busy or dead, and it has no path length limit.
 * Each process stands in it with its birth, so that a file left behind by SIGKILL or a reboot never makes us stop, or
 * show, a stranger with the same pid. It is replaced by rename, so a reader never sees half of it.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ProcessIdentity } from '@plinth/engines';

/** One engine or service, as `npm run status -- --json` prints it. */
export interface UnitState {
  name: string;
  /** `running`, `starting`, `restarting (3rd in 20 s)`, `stopped` or `failed: …`. */
  state: string;
  url: string;
  pid: number | null;
  backend: string;
  dataDir: string | null;
  /** How often it was started again after a crash. */
  restarts: number;
}

/** The whole suite. */
export interface SuiteState {
  state: 'starting' | 'running' | 'stopping';
  /** The supervisor's. */
  pid: number;
  startedAt: string;
  engines: UnitState[];
  services: UnitState[];
  /** Every process of the above, named so that it can be told from a later one with the same pid. */
  processes: (ProcessIdentity & { name: string })[];
}

/** Replaces the state. */
export function writeState(path: string, state: SuiteState): void {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(state, null, 2));
  renameSync(draft, path);
}

/** The last state written, which may be of a supervisor that is gone; undefined when there is none. */
export function readState(path: string): SuiteState | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SuiteState;
  } catch {
    return undefined;
  }
}

/** Forgets the state: nothing runs any more. */
export function removeState(path: string): void {
  rmSync(path, { force: true });
}
