/**
 * What workers have done, in files that outlive them: each appends a line for a job before it acknowledges it, so that
 * neither a killed worker nor the service can hide an execution.
 */
import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** One execution of a job. */
export interface Entry {
  /** Which job, by the number in its data. */
  number: number;
  attempt: number;
  /** Fencing token of the lease under which it ran. */
  token: string;
  /** Milliseconds since 1970. */
  startedMs: number;
  pid: number;
}

/** Of one process. A line is one write, so a kill leaves whole lines. */
export class LedgerWriter {
  readonly #file: number;

  constructor(dir: string) {
    this.#file = openSync(join(dir, `${process.pid}-${Date.now()}.ledger`), 'a');
  }

  write({ number, attempt, token, startedMs, pid }: Entry): void {
    writeSync(this.#file, `${number} ${attempt} ${token} ${startedMs} ${pid}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

/** All executions, of all processes. */
export function readLedger(dir: string): Entry[] {
  return readdirSync(dir)
    .filter((file) => file.endsWith('.ledger'))
    .flatMap((file) => readFileSync(join(dir, file), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map((line) => {
      const [number, attempt, token, startedMs, pid] = line.split(' ') as [string, string, string, string, string];
      return {
        number: Number(number),
        attempt: Number(attempt),
        token,
        startedMs: Number(startedMs),
        pid: Number(pid),
      };
    });
}

/** How often the jobs 0 … `jobs` − 1 were executed. */
export function countExecutions(entries: readonly Entry[], jobs: number): { lost: number[]; duplicates: number } {
  const times = new Map<number, number>();
  for (const { number } of entries) times.set(number, (times.get(number) ?? 0) + 1);
  const lost = Array.from({ length: jobs }, (_, number) => number).filter((number) => !times.has(number));
  return { lost, duplicates: entries.length - times.size };
}
