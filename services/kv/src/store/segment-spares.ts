/**
 * Spare segments: whole files of zeros or of old records, ready to become the next segment by a rename. Most come from
 * `trim`; when there is none, one is written in the background while the present segment fills. What a spare holds
 * does not matter, because a record is only valid under its segment's magic and at its own position.
 */
import { rename, stat, statfs, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { openForWriting, type SegmentOptions, writeZeros } from './segment-file.ts';

/** A spare is only written when the disk has room for this many: preparing for later must not be what fills it. */
const FREE_SEGMENTS_MIN = 4;

export const SPARE_SUFFIX = '.spare';
/** A spare that is still being written. Left behind by a crash, it is deleted. */
export const UNFINISHED_SUFFIX = '.unfinished';

export interface SpareOptions extends SegmentOptions {
  /** Most spare files kept; 0 keeps and prepares none. */
  spareSegmentsMax: number;
}

export class SpareSegments {
  readonly #folder: string;
  readonly #options: SpareOptions;
  readonly #paths: string[] = [];
  /** Spares on their way: they count, or two at once would go past the bound. */
  #arriving = 0;
  #preparing: Promise<void> | undefined;
  #isClosing = false;

  constructor(folder: string, options: SpareOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  get sizeBytes(): number {
    return this.#paths.length * this.#options.segmentBytes;
  }

  /** Sorts out what an earlier process left: whole spares are kept up to the bound, everything else is deleted. */
  async adopt(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const path = join(this.#folder, name);
      if (name.endsWith(UNFINISHED_SUFFIX)) await unlink(path);
      if (name.endsWith(SPARE_SUFFIX)) await this.retire(path);
    }
  }

  /** Takes a file that the log no longer needs: keeps it as a spare or deletes it. */
  async retire(path: string): Promise<void> {
    const { size } = await stat(path);
    if (size !== this.#options.segmentBytes || this.#isFull) return unlink(path);
    await this.#add(path, path.endsWith(SPARE_SUFFIX) ? path : path + SPARE_SUFFIX);
  }

  /** Hands out a spare, the last retired first because more of it is still cached. The caller renames it. */
  take(): string | undefined {
    return this.#paths.pop();
  }

  /**
   * Starts writing a spare when there is none; never rejects and need not be waited for.
   *
   * @param name - File name without suffix, unique over the life of the folder.
   */
  prepare(name: string): void {
    if (this.#paths.length > 0 || this.#isFull || this.#preparing !== undefined) return;
    this.#preparing = this.#write(join(this.#folder, name)).finally(() => {
      this.#preparing = undefined;
    });
  }

  /** Stops a spare that is being written and deletes it. */
  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#preparing;
  }

  get #isFull(): boolean {
    return this.#paths.length + this.#arriving >= this.#options.spareSegmentsMax;
  }

  async #add(path: string, sparePath: string): Promise<void> {
    this.#arriving++;
    try {
      await rename(path, sparePath);
      this.#paths.push(sparePath);
    } finally {
      this.#arriving--;
    }
  }

  async #write(path: string): Promise<void> {
    try {
      if (!(await this.#hasDiskRoom())) return;
      await this.#writeWhole(path + UNFINISHED_SUFFIX);
      if (this.#isClosing || this.#isFull) return await unlink(path + UNFINISHED_SUFFIX);
      await this.#add(path + UNFINISHED_SUFFIX, path + SPARE_SUFFIX);
    } catch {
      // A log without a spare begins its next segment as an empty file: slower, and the disk's error shows there.
      await unlink(path + UNFINISHED_SUFFIX).catch(() => undefined);
    }
  }

  async #hasDiskRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#folder);
    return bavail * bsize >= FREE_SEGMENTS_MIN * this.#options.segmentBytes;
  }

  /** Synced as it is written, in small pieces, so that it never stands as one 64 MiB flush in front of an append. */
  async #writeWhole(path: string): Promise<void> {
    const { handle, isDsync } = await openForWriting(path, { ...this.#options, sync: 'always' });
    try {
      await writeZeros(handle, { from: 0, to: this.#options.segmentBytes, onPiece: () => !this.#isClosing });
      if (!isDsync) await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}
