/**
 * One process per data folder.
 *
 *   LOCK/free                       nobody has it
 *   LOCK/<pid>.<began>.<world>      who has it: process id, when that process began, whose process ids these are
 *
 * There is one file, and to take the folder is to rename it. Of several that find it free, or find its owner dead, the
 * rename succeeds for one; a file that is deleted and made anew would let the second delete the lock of the first. And
 * it needs no room, so a service that died of a full disk can start on it again.
 *
 * A process id that was given to another process is told by the moment that process began. An owner that cannot be
 * looked up (another container on the same volume, or this one before it was restarted) counts as alive while it keeps
 * touching the file.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

interface Owner {
  pid: number;
  /** When the process began, as the system counts; empty where that is not known. */
  began: string;
  /** Whose process ids these are: host, start of the machine, namespace. */
  world: string;
}

const FREE = 'free';
const TOUCH_EVERY_MS = 2_000;
/** Five missed touches: a frozen owner is given up only then. */
const SILENT_MS = 10_000;
/** Each failed attempt means that another process got further; so many of them at once is no accident. */
const ATTEMPTS_MAX = 20;

export class FolderLock {
  readonly #folder: string;
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(folder: string, file: string) {
    this.#folder = folder;
    this.#file = file;
    this.#timer = setInterval(() => void this.#touch(), TOUCH_EVERY_MS);
    this.#timer.unref();
  }

  /**
   * Takes the folder, which must exist. Waits up to 10 s when the owner is one that cannot be looked up and was there a
   * moment ago.
   *
   * @throws Error naming the process that uses the folder.
   */
  static async take(folder: string): Promise<FolderLock> {
    const lock = join(folder, 'LOCK');
    const mine = join(lock, fileNameOf(self()));
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const name = await firstIn(lock);
      if (name === undefined) {
        await makeFree(lock);
        continue;
      }
      const owner = ownerIn(name);
      if (name !== FREE && (await isAlive(owner, join(lock, name)))) throw inUse(folder, name, owner);
      if (await wasRenamed({ source: join(lock, name), target: mine })) return new FolderLock(folder, mine);
    }
    throw new Error(`${folder} is being taken by several processes at once`);
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await wasRenamed({ source: this.#file, target: join(this.#folder, 'LOCK', FREE) });
  }

  /** @throws Error, which ends the process, when another has taken the folder: two would destroy it. */
  async #touch(): Promise<void> {
    if (await wasTouched(this.#file)) return;
    const name = await firstIn(join(this.#folder, 'LOCK'));
    if (name === undefined || name === FREE) return;
    throw new Error(`${this.#folder} was taken by ${name}, which did not hear from this process for ${SILENT_MS} ms`);
  }
}

/** The file that says who has the folder; undefined before anyone had it. */
async function firstIn(lock: string): Promise<string | undefined> {
  try {
    return (await readdir(lock)).sort()[0];
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    if (codeOf(error) !== 'ENOTDIR') throw error;
    // A file of this name is none of ours.
    await rm(lock, { force: true });
    return undefined;
  }
}

/** Makes LOCK/free, whole or not at all: a folder can be renamed over another only while that is empty. */
async function makeFree(lock: string): Promise<void> {
  const draft = `${lock}.${randomUUID()}`;
  try {
    await mkdir(draft);
    await writeFile(join(draft, FREE), '');
    await renameUnlessThere({ source: draft, target: lock });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function renameUnlessThere({ source, target }: { source: string; target: string }): Promise<void> {
  try {
    await rename(source, target);
  } catch (error) {
    // Windows says EPERM.
    const isThere = ['ENOTEMPTY', 'EEXIST', 'EPERM'].includes(codeOf(error)) && (await firstIn(target)) !== undefined;
    if (!isThere) throw error;
  }
}

async function wasRenamed({ source, target }: { source: string; target: string }): Promise<boolean> {
  // The new owner must not look as silent as the old one.
  if (!(await wasTouched(source))) return false;
  try {
    await rename(source, target);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** False when it is not there. */
async function wasTouched(file: string): Promise<boolean> {
  const now = new Date();
  try {
    await utimes(file, now, now);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

const fileNameOf = ({ pid, began, world }: Owner): string => `${pid}.${began}.${world}`;

/** Undefined: a name that no version of this has given. */
function ownerIn(name: string): Owner | undefined {
  const [, pid, began, world] = /^(\d+)\.(\d*)\.(.+)$/.exec(name) ?? [];
  return pid === undefined ? undefined : { pid: Number(pid), began: began!, world: world! };
}

const inUse = (folder: string, name: string, owner: Owner | undefined): Error =>
  new Error(
    `${folder} is in use by ${owner === undefined ? name : `process ${owner.pid} (${owner.world})`}: ` +
      'stop it, or choose another folder',
  );

const self = (): Owner => ({ pid: process.pid, began: beganOf(process.pid), world: world() });

async function isAlive(owner: Owner | undefined, file: string): Promise<boolean> {
  if (owner?.world !== world()) return keepsTouching(file);
  if (owner.began !== '') return beganOf(owner.pid) === owner.began;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/** Only the age of a touch is taken from the clock, and only when it is great: a clock that was set must lock nobody out. */
async function keepsTouching(file: string): Promise<boolean> {
  const first = await touchedMs(file);
  if (first === undefined || Date.now() - first > SILENT_MS) return false;
  const endMs = performance.now() + SILENT_MS;
  while (performance.now() < endMs) {
    await sleep(100);
    if ((await touchedMs(file)) !== first) return true;
  }
  return false;
}

/** Undefined: it is gone, and somebody else with it. */
async function touchedMs(file: string): Promise<number | undefined> {
  try {
    return (await stat(file)).mtimeMs;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Clock ticks since the machine's start at which a process began; '' when it is dead, and where there is no /proc. */
function beganOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold spaces; behind it come the 3rd field, the state, and 19 further the moment.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const isDead = fields[0] === 'Z' || fields[0] === 'X';
    return isDead ? '' : (fields[19] ?? '');
  } catch {
    return '';
  }
}

function world(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const namespace = readlinkSync('/proc/self/ns/pid').replace(/\D+/g, '');
    return `${hostname()}-${boot}-${namespace}`;
  } catch {
    return hostname();
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? '';
