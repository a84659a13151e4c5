/** Which rotated files go, and what is done after a rotation. */
import { readdirSync, rmSync, statSync, unlink } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Compressor } from './compression.ts';
import { type RotatedFile, type RotationOptions, rotatedFiles, stampMs } from './rotation.ts';
import { codeOf, type Troubles } from './trouble.ts';

export type RetentionPolicy = Pick<RotationOptions, 'keepFiles' | 'keepBytes' | 'keepMs'>;

/** A rotated file with its size. */
export interface SizedFile extends RotatedFile {
  sizeBytes: number;
}

/** Those that no bound of the policy lets stay. @param files - Oldest first. */
export function surplusFiles(files: SizedFile[], policy: RetentionPolicy, nowMs: number): SizedFile[] {
  const { keepFiles = Infinity, keepBytes = Infinity, keepMs = Infinity } = policy;
  let bytes = 0;
  const firstOfSurplus = files.findLastIndex((file, at) => {
    bytes += file.sizeBytes;
    return files.length - at > keepFiles || bytes > keepBytes || nowMs - stampMs(file.stamp) > keepMs;
  });
  return files.slice(0, firstOfSurplus + 1);
}

export interface HousekeepingOptions {
  logPath: string;
  rotation: RotationOptions;
  troubles: Troubles;
  now: () => number;
  /** See `Compressor`. */
  settleMs?: number;
}

/** What happens to rotated files: old ones are removed, the others compressed. */
export class Housekeeping {
  /** Files removed and files compressed since the start. */
  readonly counts = { removed: 0, compressed: 0 };
  readonly #options: HousekeepingOptions;
  readonly #compressor: Compressor | undefined;
  readonly #isBounded: boolean;
  readonly #leaving = new Set<string>();

  constructor(options: HousekeepingOptions) {
    this.#options = options;
    const { compress, keepFiles, keepBytes, keepMs } = options.rotation;
    this.#isBounded = (keepFiles ?? keepBytes ?? keepMs) !== undefined;
    if (compress) this.#compressor = this.#compressorFor(compress);
  }

  #compressorFor(format: 'gzip' | 'zstd'): Compressor {
    const { troubles, settleMs } = this.#options;
    const onDone = () => {
      this.counts.compressed += 1;
      troubles.end('compress');
    };
    return new Compressor({ format, settleMs, onDone, onError: (error) => troubles.begin('compress', error) });
  }

  /** What an earlier process left: half-compressed files go, rotated ones that it did not compress are taken up. */
  begin(): void {
    this.tidy();
    if (this.#compressor === undefined) return;
    removeDrafts(this.#options.logPath);
    for (const file of rotatedFiles(this.#options.logPath)) if (!file.isCompressed) this.#compressor.add(file.path);
  }

  /** A file was rotated. */
  add(path: string): void {
    this.#compressor?.add(path);
    this.tidy();
  }

  /** Removes what is too much. Removing is left to the thread pool: gigabytes can take a while. */
  tidy(): void {
    if (!this.#isBounded) return;
    const { logPath, rotation, now } = this.#options;
    const files = rotatedFiles(logPath).filter(({ path }) => !this.#leaving.has(path));
    for (const { path } of surplusFiles(files.map(withSize), rotation, now())) this.#remove(path);
  }

  #remove(path: string): void {
    this.#leaving.add(path);
    unlink(path, (error) => {
      this.#leaving.delete(path);
      if (error !== null && codeOf(error) !== 'ENOENT') {
        this.#options.troubles.begin('remove', error);
        return;
      }
      this.counts.removed += 1;
      this.#options.troubles.end('remove');
    });
  }

  /** Files that wait for compression. */
  get pending(): number {
    return this.#compressor?.pending ?? 0;
  }

  async close(): Promise<void> {
    await this.#compressor?.close();
  }
}

function withSize(file: RotatedFile): SizedFile {
  return { ...file, sizeBytes: statSync(file.path, { throwIfNoEntry: false })?.size ?? 0 };
}

/** A draft's name holds the process that writes it; one whose process is gone will never be finished. */
function removeDrafts(logPath: string): void {
  try {
    for (const name of readdirSync(dirname(logPath))) {
      const writer = name.startsWith(`${basename(logPath)}.`) ? /\.(\d+)\.tmp$/.exec(name)?.[1] : undefined;
      if (writer !== undefined && !isRunning(Number(writer))) rmSync(join(dirname(logPath), name), { force: true });
    }
  } catch {
    // The folder cannot be read or written: opening the log tells it.
  }
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
