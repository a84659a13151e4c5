/** Logs lines that somebody else will miss, and tells how many there were. */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenLogger } from './loggers.ts';
import { turn } from './producing.ts';

/** How a process is to end. */
export const ENDINGS = ['SIGKILL', 'exit', 'throw', 'SIGTERM'] as const;
export type Ending = (typeof ENDINGS)[number];

export interface Farewell {
  ending: Ending;
  /** Lines before the end, of each thread. With SIGKILL there is no number: it comes when it comes. */
  calls: number;
  /** Where each thread says how many lines it has logged: 8 bytes, little-endian. */
  counterPath: string;
}

const BATCH = 100;
const SETTLE_MS = 30;

/** One line, and time enough for it to be written: whatever is opened at the first line is open then. */
export async function say(logger: OpenLogger): Promise<void> {
  logger.log(0);
  await sleep(SETTLE_MS);
}

/**
 * Logs so many lines without a pause, or, where the end is a SIGKILL, until it comes. Then the number of lines stands in
 * a file after every one, which costs a system call and survives the process.
 */
export async function fly(logger: OpenLogger, { ending, calls, counterPath }: Farewell): Promise<void> {
  if (ending !== 'SIGKILL') {
    for (let call = 0; call < calls; call++) logger.log(call);
    return;
  }
  const counter = openSync(counterPath, 'w');
  const cell = Buffer.alloc(8);
  for (let called = 0; ; ) {
    for (const end = called + BATCH; called < end; ) {
      logger.log(called);
      cell.writeDoubleLE(++called);
      writeSync(counter, cell, 0, 8, 0);
    }
    await turn(logger);
  }
}
