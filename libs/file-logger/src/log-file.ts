/**
 * The end of the pipeline: whole lines as bytes, appended to a file or a descriptor. No call throws.
 *
 * Files are opened O_APPEND and every write holds whole lines, so that processes may share a file. When a write ends in
 * the middle of a line (a full disk), that line's beginning is cut off again: a log never ends in half a line but
 * through a crash, and then the next start ends that line, counts it, and begins a new one.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  readSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AppendFlight } from './append-flight.ts';
import { type AppendTarget, describeTarget, endsTorn, openTarget, openWithoutWaiting } from './append-target.ts';
import { checkLogFileOptions, type LogFileOptions } from './log-file-options.ts';
import { Housekeeping } from './retention.ts';
import { moveAside, RotationSchedule, rotatedFiles, syncFolder } from './rotation.ts';
import { RotationLock } from './rotation-lock.ts';
import { codeOf, type LogFileError, Troubles } from './trouble.ts';

export type { LogFileOptions } from './log-file-options.ts';

const NEWLINE = 0x0a;
const NEWLINE_BYTES = Uint8Array.of(NEWLINE);
const RETRY_MS = 100;
const RETRY_MS_MAX = 5_000;
/** A full pipe: its reader may take the next bytes at any moment. */
const BUSY_MS = 2;
const BUSY_MS_MAX = 20;
/** How long lines may go to a file that another process has moved away. */
const LOOK_MS = 250;
/** Another process rotates: that is a matter of a millisecond. */
const LOCKED_MS = 5;
/** The folder does not allow rotation: the log goes on as it is, and this is tried again. */
const ROTATE_AGAIN_MS = 5_000;

export interface LogFileStats {
  writtenBytes: number;
  /** Failed calls to the operating system. */
  errors: number;
  rotations: number;
  /** Times the file was opened again because it was removed or moved by others. */
  reopens: number;
  /** Lines that a crash had left unfinished, found when the file was opened. */
  tornLines: number;
  syncs: number;
  /** Rotated files compressed, and removed because there were too many. */
  compressed: number;
  removed: number;
  /** The trouble that stands, in words. */
  failing: string | undefined;
}

const CLOSED: AppendTarget = { fd: -1, isRegular: false, inode: 0, device: 0, sizeBytes: 0, modifiedMs: 0 };

/** A file or descriptor that takes whole lines as bytes. See each call; none throws. */
export class LogFile {
  readonly #options: LogFileOptions;
  readonly #now: () => number;
  readonly #troubles: Troubles;
  readonly #schedule: RotationSchedule;
  readonly #housekeeping: Housekeeping | undefined;
  readonly #counts = { writtenBytes: 0, rotations: 0, reopens: 0, tornLines: 0, syncs: 0 };
  #target = CLOSED;
  #flight: AppendFlight | undefined;
  #delivery: (() => void) | undefined;
  #isDirty = false;
  #syncing = 0;
  #isTorn = false;
  #isMidLine = false;
  #isOpenedOnce = false;
  #isClosed = false;
  #lookAtMs = 0;
  #rotateAfterMs = 0;
  #retryAtMs = 0;
  #retryMs = 0;

  /** @throws TypeError or RangeError for options that make no sense. A file that cannot be opened is tried again later. */
  constructor(options: LogFileOptions) {
    checkLogFileOptions(options);
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { path, descriptor, rotation = {}, settleMs } = options;
    const target = path ?? `descriptor ${descriptor}`;
    this.#troubles = new Troubles(target, options.onError ?? ((error) => process.emitWarning(error)));
    this.#schedule = new RotationSchedule(rotation, this.#now);
    if (path !== undefined && options.rotation !== undefined) {
      this.#housekeeping = new Housekeeping({
        logPath: path,
        rotation,
        troubles: this.#troubles,
        now: this.#now,
        settleMs,
      });
      this.#housekeeping.begin();
    }
    this.#isReady();
  }

  /**
   * Appends whole lines, as many as can be written, rotating before when due.
   *
   * @returns The bytes written. The rest is the caller's to keep and to hand in again after `retryInMs`. It begins with a
   * whole line, but for a pipe that took half of one: then the rest of that line comes first.
   */
  appendSync(bytes: Uint8Array): number {
    if (this.#isUnderWay) return this.#isBusy();
    let written = 0;
    while (written < bytes.length) {
      const end = this.#pieceEnd(bytes, written);
      if (end === written) break;
      const count = this.#writeSync(bytes.subarray(written, end));
      if (count === 0) break;
      written += count;
    }
    return written;
  }

  /**
   * The same through the thread pool; one at a time.
   *
   * @param done - Called later, or from `waitSync`, with the bytes written. Fewer than all do not mean trouble (a rotation lies
   * between): see `retryInMs`.
   */
  append(bytes: Uint8Array, done: (writtenBytes: number) => void): void {
    const end = this.#isUnderWay ? this.#isBusy() : this.#pieceEnd(bytes, 0);
    if (end === 0 || !this.#target.isRegular) {
      this.#deliverLater(done, end === 0 ? 0 : this.#writeSync(bytes.subarray(0, end)));
      return;
    }
    const piece = bytes.subarray(0, end);
    const landed = (error: Error | null, count: number): void => {
      this.#flight = undefined;
      done(this.#settled(piece, error, count));
    };
    try {
      this.#flight = new AppendFlight(this.#target.fd, piece, landed);
    } catch (error) {
      this.#deliverLater(done, this.#failed('write', error));
    }
  }

  #settled(piece: Uint8Array, error: Error | null, count: number): number {
    try {
      return error === null ? this.#wrote(piece, count) : this.#failed('write', error);
    } catch (failure) {
      return this.#failed('write', failure);
    }
  }

  get #isUnderWay(): boolean {
    return this.#flight !== undefined || this.#delivery !== undefined;
  }

  /** At exit no tick follows: then `waitSync` delivers. */
  #deliverLater(done: (writtenBytes: number) => void, writtenBytes: number): void {
    const deliver = (): void => {
      if (this.#delivery !== deliver) return;
      this.#delivery = undefined;
      done(writtenBytes);
    };
    // One that came while another is under way is refused, and must not take the other's place.
    if (this.#isUnderWay) process.nextTick(done, writtenBytes);
    else {
      this.#delivery = deliver;
      process.nextTick(deliver);
    }
  }

  /** Waits for the append that is under way. @returns False when it was not over within the time. */
  waitSync(deadlineMs: number): boolean {
    this.#delivery?.();
    return this.#flight === undefined || this.#flight.waitSync(deadlineMs);
  }

  /** Makes what was written survive a power loss. @returns False when that failed. Cost: nothing if all is synced. */
  syncSync(): boolean {
    // One that the thread pool has begun is not over yet: this call must not return before it is.
    if ((!this.#isDirty && this.#syncing === 0) || this.#target.fd === -1) return !this.#isDirty;
    this.#isDirty = false;
    try {
      fdatasyncSync(this.#target.fd);
      return this.#synced(null) === undefined;
    } catch (error) {
      return this.#synced(error as Error) === undefined;
    }
  }

  /** The same through the thread pool. */
  sync(done: (error?: Error) => void): void {
    if (!this.#isDirty || this.#target.fd === -1) {
      process.nextTick(done);
      return;
    }
    this.#isDirty = false;
    // The descriptor may be closed by a rotation meanwhile; that syncs by itself, and EBADF says nothing then.
    const { fd } = this.#target;
    this.#syncing += 1;
    fdatasync(fd, (error) => {
      this.#syncing -= 1;
      done(this.#synced(fd === this.#target.fd ? error : null));
    });
  }

  #synced(error: Error | null): LogFileError | undefined {
    // Pipes and terminals cannot be synced: what was written has left this machine's hands.
    if (error !== null && codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') {
      this.#isDirty = true;
      return this.#troubles.begin('sync', error);
    }
    this.#counts.syncs += 1;
    this.#troubles.end('sync');
    return undefined;
  }

  /** After a failed append: milliseconds until the next try makes sense. Infinity: a closed pipe never comes back. */
  get retryInMs(): number {
    if (this.#retryMs === 0) return 0;
    return Math.max(0, this.#retryAtMs - performance.now());
  }

  /** Moves the file aside now, unless it is empty. */
  rotateSync(): void {
    if (this.waitSync(RETRY_MS_MAX) && this.#isReady() && this.#target.sizeBytes > 0) this.#rotate();
  }

  /** Opens the path anew: after another program has moved the file away. */
  reopenSync(): void {
    if (this.#options.path === undefined || this.#isClosed || !this.waitSync(RETRY_MS_MAX)) return;
    this.#open();
  }

  /** Lets go of the file; a descriptor that was given stays open. */
  closeSync(): void {
    this.waitSync(RETRY_MS_MAX);
    this.#isClosed = true;
    this.#letGo();
    void this.#housekeeping?.close();
  }

  /** As `closeSync`, and resolves when the compression that is under way has ended. */
  async close(): Promise<void> {
    this.closeSync();
    await this.#housekeeping?.close();
  }

  get stats(): LogFileStats {
    const { removed, compressed } = this.#housekeeping?.counts ?? { removed: 0, compressed: 0 };
    const { errors, current } = this.#troubles;
    return { ...this.#counts, removed, compressed, errors, failing: current?.message };
  }

  /** Is there room for so many bytes on the disk? Tells a write that will fail from one that is slow. */
  hasRoom(bytes: number): boolean {
    try {
      const { bavail, bsize } = statfsSync(dirname(this.#options.path as string));
      return bavail * bsize >= bytes;
    } catch {
      return true;
    }
  }

  /** Do lines fail to be written, for another reason than that their reader is slow? */
  get isFailing(): boolean {
    return this.#troubles.current?.kind === 'open' || this.#troubles.current?.kind === 'write';
  }

  /** The trouble that stands. */
  get trouble(): LogFileError | undefined {
    return this.#troubles.current;
  }

  /** Rotated files that wait for compression. */
  get compressing(): number {
    return this.#housekeeping?.pending ?? 0;
  }

  // ---- Opening

  /** Is there a descriptor, and is it still the path's file? Cost: a stat every 250 ms. */
  #isReady(): boolean {
    if (this.#isClosed) return false;
    if (this.#target.fd === -1) return this.#open();
    if (!this.#target.isRegular || this.#options.path === undefined) return true;
    const nowMs = performance.now();
    if (nowMs < this.#lookAtMs) return true;
    this.#lookAtMs = nowMs + LOOK_MS;
    return this.#isStillThere() || this.#reopen();
  }

  #isStillThere(): boolean {
    try {
      // A FIFO, maybe: see `describeTarget`.
      const found = statSync(this.#options.path as string, { throwIfNoEntry: false, bigint: true });
      return Number(found?.ino) === this.#target.inode && Number(found?.dev) === this.#target.device;
    } catch {
      // The folder may not be looked into: the descriptor is good as long as writes are.
      return true;
    }
  }

  #reopen(): boolean {
    this.#counts.reopens += 1;
    return this.#open();
  }

  #open(): boolean {
    const { path, mode = 0o640 } = this.#options;
    try {
      const target = path === undefined ? this.#openDescriptor() : openTarget(path, mode);
      this.#letGo();
      this.#target = target;
    } catch (error) {
      this.#failed('open', error);
      // Moved away but still there: better that file than none. Removed: what is written there is lost.
      return this.#target.fd !== -1 && this.#hasName();
    }
    this.#opened();
    return true;
  }

  #opened(): void {
    const { isRegular, fd, sizeBytes, modifiedMs } = this.#target;
    this.#troubles.end('open');
    this.#lookAtMs = performance.now() + LOOK_MS;
    this.#isMidLine = false;
    this.#schedule.begin(sizeBytes > 0 ? modifiedMs : undefined);
    // Files that are made while this runs are left whole by whoever writes them, unless killed: that shows at the next start.
    if (!this.#isOpenedOnce && isRegular && this.#options.path !== undefined && endsTorn(fd)) {
      this.#isTorn = true;
      this.#counts.tornLines += 1;
    }
    this.#isOpenedOnce = true;
  }

  #openDescriptor(): AppendTarget {
    const given = this.#options.descriptor as number;
    const target = describeTarget(given);
    const own = this.#options.isWaitless && !target.isRegular ? openWithoutWaiting(given) : undefined;
    return own === undefined ? target : { ...target, fd: own };
  }

  #letGo(): void {
    const { fd } = this.#target;
    if (fd === -1) return;
    if ((this.#options.durability ?? 'none') !== 'none') this.syncSync();
    this.#target = CLOSED;
    this.#isDirty = false;
    if (fd === this.#options.descriptor) return;
    try {
      closeSync(fd);
    } catch (error) {
      this.#troubles.begin('write', error);
    }
  }

  /** Has the open file a name somewhere, or will it vanish when it is closed? */
  #hasName(): boolean {
    try {
      return fstatSync(this.#target.fd).nlink > 0;
    } catch {
      return false;
    }
  }

  // ---- Writing

  /** How far the next write may go so that it ends with a line and the file within its bounds. `from`: not at all. */
  #pieceEnd(bytes: Uint8Array, from: number): number {
    if (bytes.length === from || !this.#isReady() || !this.#endTornLine()) return from;
    if (this.#housekeeping === undefined || !this.#target.isRegular || this.#isMidLine) return bytes.length;
    if (this.#target.sizeBytes > 0) {
      const end = this.#schedule.isDue ? from : this.#endThatFits(bytes, from);
      if (end > from) return end;
      this.#rotate();
      if (this.#target.fd === -1) return from;
    }
    const end = this.#endThatFits(bytes, from);
    if (end > from) return end;
    // Either a line longer than a file may be, or a file that could not be rotated now: its bound gives way.
    return this.#target.sizeBytes > 0 ? bytes.length : bytes.indexOf(NEWLINE, from) + 1 || bytes.length;
  }

  /** The end of the last line for which the file has room; `from` if there is none. */
  #endThatFits(bytes: Uint8Array, from: number): number {
    const room = this.#schedule.roomBytes(this.#target.sizeBytes);
    if (bytes.length - from <= room) return bytes.length;
    return room > 0 ? Math.max(from, bytes.lastIndexOf(NEWLINE, from + room - 1) + 1) : from;
  }

  #endTornLine(): boolean {
    if (!this.#isTorn) return true;
    try {
      writeSync(this.#target.fd, NEWLINE_BYTES);
    } catch (error) {
      this.#failed('write', error);
      return false;
    }
    this.#isTorn = false;
    this.#target.sizeBytes += 1;
    return true;
  }

  #writeSync(piece: Uint8Array): number {
    try {
      return this.#wrote(piece, writeSync(this.#target.fd, piece));
    } catch (error) {
      return this.#failed('write', error);
    }
  }

  /** @returns The bytes that count as written. */
  #wrote(piece: Uint8Array, count: number): number {
    const kept = this.#target.isRegular ? this.#keptInFile(piece, count) : count;
    if (kept === 0) return 0;
    this.#isMidLine = kept < piece.length && piece[kept - 1] !== NEWLINE;
    this.#isDirty = true;
    this.#counts.writtenBytes += kept;
    this.#retryMs = 0;
    this.#troubles.end('write');
    return kept;
  }

  #keptInFile(piece: Uint8Array, count: number): number {
    const { fd } = this.#target;
    const { size, nlink } = fstatSync(fd);
    this.#target.sizeBytes = size;
    if (nlink === 0 && this.#options.path !== undefined) {
      // Its last name was removed: the file and this write with it. They are written again, to a new one.
      const isOpen = this.#reopen();
      return isOpen ? this.#writeSync(piece) : 0;
    }
    if (count === piece.length) return count;
    const fragmentBytes = count - 1 - piece.lastIndexOf(NEWLINE, count - 1);
    if (fragmentBytes === 0 || !this.#cutOff(piece.subarray(count - fragmentBytes, count), size)) return count;
    if (count === fragmentBytes) this.#failed('write', Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    return count - fragmentBytes;
  }

  /** Takes a line's beginning back, if it is still what the file ends with. @returns Whether it is gone. */
  #cutOff(fragment: Uint8Array, sizeBytes: number): boolean {
    try {
      const { fd } = this.#target;
      const end = Buffer.alloc(fragment.length);
      readSync(fd, end, 0, end.length, sizeBytes - end.length);
      if (!end.equals(fragment)) return false;
      ftruncateSync(fd, sizeBytes - end.length);
      this.#target.sizeBytes -= end.length;
      return true;
    } catch {
      // An append-only file: then the line is continued once there is room.
      return false;
    }
  }

  #isBusy(): 0 {
    this.#wait(BUSY_MS, BUSY_MS_MAX);
    return 0;
  }

  #wait(leastMs: number, mostMs: number): void {
    this.#retryMs = Math.min(Math.max(leastMs, this.#retryMs * 2), mostMs);
    this.#retryAtMs = performance.now() + this.#retryMs;
  }

  #failed(kind: 'open' | 'write', error: unknown): 0 {
    const code = codeOf(error);
    if (code === 'EAGAIN') return this.#isBusy();
    this.#troubles.begin(kind, error);
    if (this.#options.path === undefined && (code === 'EPIPE' || code === 'EBADF')) {
      this.#retryMs = Infinity;
      this.#retryAtMs = Infinity;
      return 0;
    }
    this.#wait(this.#options.retryMs ?? RETRY_MS, RETRY_MS_MAX);
    // The path is looked at before the next try: a file that cannot be written to may have been replaced.
    this.#lookAtMs = 0;
    if (kind === 'write' && code !== 'ENOSPC' && code !== 'EDQUOT' && this.#options.path !== undefined) this.#letGo();
    return 0;
  }

  // ---- Rotating

  #rotate(): void {
    const nowMs = performance.now();
    if (nowMs < this.#rotateAfterMs || this.#isMidLine) return;
    const path = this.#options.path as string;
    const lock = new RotationLock(`${path}.lock`);
    try {
      if (!lock.tryTake()) {
        this.#rotateAfterMs = nowMs + LOCKED_MS;
        this.#lookAtMs = 0;
      } else if (!this.#isStillThere()) {
        // Another process has just done it.
        this.#reopen();
      } else {
        this.#moveAndOpen(path);
      }
    } catch (error) {
      this.#troubles.begin('rotate', error);
      this.#rotateAfterMs = nowMs + ROTATE_AGAIN_MS;
    } finally {
      lock.release();
    }
  }

  #moveAndOpen(path: string): void {
    const moved = moveAside(path, rotatedFiles(path), this.#now());
    if (!this.#open()) return;
    if ((this.#options.durability ?? 'none') !== 'none') syncFolder(dirname(path));
    this.#counts.rotations += 1;
    this.#troubles.end('rotate');
    this.#housekeeping?.add(moved);
  }
}
