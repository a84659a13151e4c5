/**
 * A lock file between processes that rotate the same log.
 *
 * A holder that was killed leaves it behind; whoever finds the holder gone, or the lock older than any rotation takes,
 * breaks it. Two that break at the same instant may both think they hold it. Nothing is lost then: the name a file is
 * moved to is reserved by itself (`moveAside`), and the lock only keeps two processes from rotating twice.
 */
import { closeSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { codeOf } from './trouble.ts';

/** A rotation is two renames and an open: milliseconds. */
const STALE_MS = 10_000;

export class RotationLock {
  readonly #path: string;
  #isHeld = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** Takes the lock, or says that another process has it. @throws When the folder cannot be written to. */
  tryTake(): boolean {
    if (this.#create()) return true;
    if (!this.#isStale()) return false;
    rmSync(this.#path, { force: true });
    return this.#create();
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    rmSync(this.#path, { force: true });
  }

  #create(): boolean {
    let fd: number;
    try {
      fd = openSync(this.#path, 'wx', 0o600);
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
    this.#isHeld = true;
    try {
      writeSync(fd, `${process.pid} ${hostname()}`);
    } catch {
      // A full disk: without a name the lock is judged by its age alone, and rotating may be what makes room.
    } finally {
      closeSync(fd);
    }
    return true;
  }

  #isStale(): boolean {
    try {
      const [pid, host] = readFileSync(this.#path, 'utf8').split(' ');
      // A clock that was set back makes the lock look young for as long; its holder's end still shows.
      const ageMs = Math.abs(Date.now() - statSync(this.#path).mtimeMs);
      return ageMs > STALE_MS || (host === hostname() && !isAlive(Number(pid)));
    } catch {
      return false;
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
