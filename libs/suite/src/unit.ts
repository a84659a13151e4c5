/** What the supervisor keeps running: an engine or a service, seen the same way. */
import type { Exit } from '@plinth/engines';

/** A process that was started and is ready. */
export interface RunningUnit {
  /** Undefined for an engine that somebody else runs. */
  pid: number | undefined;
  /** Asks it to end, and waits until it has. */
  stop(): Promise<void>;
  exited: Promise<Exit>;
}

/** What a start reports while it goes on. */
export interface StartHooks {
  /** One line of the process's output, without its newline. */
  onLine(line: string): void;
  /** There is a process; it is not ready yet. */
  onSpawn(pid: number): void;
}

/** Something to keep running. */
export interface Unit {
  name: string;
  kind: 'engine' | 'service';
  url: string;
  /** What it keeps its data with, for tables. */
  backend: string;
  /** Undefined when the data is not on this machine. */
  dataDir: string | undefined;
  /** Starts it and waits until it is ready. @throws Error that says why it did not become ready. */
  start(hooks: StartHooks): Promise<RunningUnit>;
}

/** "exit code 1" or "SIGKILL". */
export function describeExit({ code, signal }: Exit): string {
  return signal ?? `exit code ${code}`;
}
