/** Opening what a log is appended to. */
import { constants, fstatSync, lstatSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf } from './trouble.ts';

const NEWLINE = 0x0a;
/** Another process may be in the middle of a write: its line is torn only if it stays so. */
const TORN_LOOK_AGAIN_MS = 20;

const { O_APPEND, O_CREAT, O_NONBLOCK, O_RDWR, O_WRONLY } = constants;
const sleepCell = new Int32Array(new SharedArrayBuffer(4));

/** Holds the thread. For waits that must be over before a call returns. */
export function sleepSync(ms: number): void {
  if (ms > 0) Atomics.wait(sleepCell, 0, 0, ms);
}

/** An open descriptor and what is known of it. */
export interface AppendTarget {
  fd: number;
  /** Regular files can be rotated, cut and followed by inode; pipes and terminals cannot. */
  isRegular: boolean;
  inode: number;
  device: number;
  sizeBytes: number;
  modifiedMs: number;
}

/** Opens a file to append to; its folder is made when there is none. @throws What the operating system says. */
export function openTarget(path: string, mode: number): AppendTarget {
  try {
    return describeTarget(openForAppend(path, mode));
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || isDanglingLink(path)) throw error;
    mkdirSync(dirname(path), { recursive: true });
    return describeTarget(openForAppend(path, mode));
  }
}

function openForAppend(path: string, mode: number): number {
  // A FIFO without a reader would hold the thread in open(); like this it is ENXIO, and tried again later.
  if (isFifo(path)) return openSync(path, O_WRONLY | O_NONBLOCK);
  try {
    // Read as well: the last byte tells whether the last line is whole.
    return openSync(path, O_RDWR | O_APPEND | O_CREAT, mode);
  } catch (error) {
    if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'ENXIO') throw error;
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT, mode);
  }
}

function isFifo(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false, bigint: true })?.isFIFO() ?? false;
}

/** Making the folder of such a link would not help: the missing one is elsewhere. */
function isDanglingLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
}

/**
 * What the descriptor leads to. By big integers, because a pipe may be looked at: what the last look in plain numbers
 * found is also what Node's `realpathSync` goes by (lib/fs.js, "break if a pipe/socket"), and behind a pipe it resolves
 * no links any more, so that `import()` of a linked package fails.
 *
 * @throws EBADF when it is not open.
 */
export function describeTarget(fd: number): AppendTarget {
  const stats = fstatSync(fd, { bigint: true });
  return {
    fd,
    isRegular: stats.isFile(),
    inode: Number(stats.ino),
    device: Number(stats.dev),
    sizeBytes: stats.isFile() ? Number(stats.size) : 0,
    modifiedMs: Number(stats.mtimeMs),
  };
}

/** As `describeTarget`: of what may be a pipe. */
export const sizeOf = (fd: number): number => Number(fstatSync(fd, { bigint: true }).size);

/**
 * A descriptor of the same pipe or terminal whose writes do not wait. The one that was given may be shared with other
 * processes, which would not expect it to change. Undefined where the system gives none (sockets, other than Linux).
 */
export function openWithoutWaiting(fd: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_APPEND);
  } catch {
    return undefined;
  }
}

/** Does the file end in the middle of a line? Waits a moment for a process that is still writing it. */
export function endsTorn(fd: number): boolean {
  if (!lacksNewline(fd)) return false;
  sleepSync(TORN_LOOK_AGAIN_MS);
  return lacksNewline(fd);
}

function lacksNewline(fd: number): boolean {
  const { size } = fstatSync(fd);
  const last = new Uint8Array(1);
  try {
    return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
  } catch {
    // Opened for writing only: then an extra empty line is the lesser evil.
    return size > 0;
  }
}
