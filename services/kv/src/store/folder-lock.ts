/**
 * One process per data folder. The lock file names its owner: machine start, process id and the moment that process
 * began, so that an id used again is not mistaken for it. An owner that cannot be looked up (another container on the
 * same volume) counts as alive while it keeps touching the file.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

interface Owner {
  pid: number;
  /** When the process began, as the system counts; empty where that is not known. */
  began: string;
  /** Whose process ids these are: host and namespace. */
  world: string;
}

const TOUCH_EVERY_MS = 2_000;
/** Five missed touches: a frozen owner is given up only then. */
const SILENT_MS = 10_000;

export class FolderLock {
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(file: string) {
    this.#file = file;
    this.#timer = setInterval(() => void touch(file), TOUCH_EVERY_MS);
    this.#timer.unref();
  }

  /** @throws Error when another process uses the folder. */
  static async take(folder: string): Promise<FolderLock> {
    const file = join(folder, 'LOCK');
    for (let attempt = 0; attempt < 3; attempt++) {
      if (await create(file)) return new FolderLock(file);
      const owner = await readOwner(file);
      if (owner !== undefined && (await isAlive(owner, file))) {
        throw new Error(
          `${folder} is in use by process ${owner.pid} (${owner.world}): stop it, or choose another folder`,
        );
      }
      await rm(file, { force: true });
    }
    throw new Error(`${folder} is being taken by several processes at once`);
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await rm(this.#file, { force: true });
  }
}

async function create(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx');
    await handle.writeFile(JSON.stringify(self()));
    await handle.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

const self = (): Owner => ({ pid: process.pid, began: beganOf(process.pid), world: world() });

async function readOwner(file: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Owner;
  } catch {
    // Being written this moment, or cut off by a crash: the age of the file decides.
    const fresh = await stat(file).catch(() => undefined);
    if (fresh !== undefined && Date.now() - fresh.mtimeMs < SILENT_MS) await new Promise((r) => setTimeout(r, 50));
    return undefined;
  }
}

async function isAlive(owner: Owner, file: string): Promise<boolean> {
  if (owner.world !== world()) {
    const { mtimeMs } = await stat(file);
    return Date.now() - mtimeMs < SILENT_MS;
  }
  if (owner.began !== '') return beganOf(owner.pid) === owner.began;
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Clock ticks since the machine's start at which a process began; Linux only, elsewhere ''. */
function beganOf(pid: number): string {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold spaces; the 22nd field is the 20th behind it.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function world(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${hostname()} ${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}

async function touch(file: string): Promise<void> {
  const now = new Date();
  await utimes(file, now, now).catch(() => {});
}
