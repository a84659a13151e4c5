/**
 * A lock between processes, held by a file that names its holder.
 *
 * The file is created exclusively, so one process wins. A holder that was killed leaves its file behind; whoever
 * finds the holder's process gone takes the file away and tries again. Two finders at the same instant may both think
 * they won: what the lock guards must therefore stay correct (an atomic rename into the cache, a port that can be
 * bound once) and the lock only saves the double work.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSameProcess, type ProcessIdentity, processIdentity } from './process-identity.ts';

/** One attempt at a lock, and its release. */
export class LockFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes the lock if it is free or its holder has died. Returns false while another process holds it. */
  tryTake(): boolean {
    mkdirSync(dirname(this.#path), { recursive: true });
    if (this.#createWhole()) return true;
    if (this.holder() !== undefined) return false;
    rmSync(this.#path, { force: true });
    return this.#createWhole();
  }

  /** The living process that holds the lock, or undefined. */
  holder(): ProcessIdentity | undefined {
    try {
      const recorded = JSON.parse(readFileSync(this.#path, 'utf8')) as ProcessIdentity;
      return isSameProcess(recorded) ? recorded : undefined;
    } catch {
      return undefined;
    }
  }

  /** Gives the lock back. */
  release(): void {
    rmSync(this.#path, { force: true });
  }

  /** Written aside and then linked, because a reader must never meet a lock without its holder's name. */
  #createWhole(): boolean {
    const draft = `${this.#path}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(processIdentity(process.pid)));
    try {
      linkSync(draft, this.#path);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    } finally {
      rmSync(draft, { force: true });
    }
  }
}

/**
 * Does some work while holding a lock; waits for it first, however long its living holder needs.
 *
 * @param onWait - Called once when another process holds the lock.
 */
export async function withLock<T>(
  path: string,
  onWait: (holderPid: number) => void,
  work: () => Promise<T>,
): Promise<T> {
  const lock = new LockFile(path);
  let hasWaited = false;
  while (!lock.tryTake()) {
    const holder = lock.holder();
    if (holder && !hasWaited) {
      hasWaited = true;
      onWait(holder.pid);
    }
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}
