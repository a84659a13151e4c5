/**
 * The folder that holds everything, and who may use it.
 *
 *   FORMAT            {"format":1}: what the rest means
 *   LOCK              who uses it now
 *   CURRENT           the name of the generation in use: `g1`; a restore makes the next one and renames this file
 *   CACHE             where revisions of cache buckets go on, so that an ETag is never given twice
 *   g1/durable, g1/write-back    log/ and state/ of an engine
 *   snapshots/<id>/   copies of both states
 */
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FolderLock } from './folder-lock.ts';

export const FORMAT = 1;

export class DataFolder {
  readonly path: string;
  readonly #lock: FolderLock;
  #generation: number;

  private constructor(path: string, lock: FolderLock, generation: number) {
    this.path = path;
    this.#lock = lock;
    this.#generation = generation;
  }

  /**
   * Makes the folder if it is missing and takes it.
   *
   * @throws Error when another process uses it, or when it was written by a newer version.
   */
  static async open(path: string): Promise<DataFolder> {
    await mkdir(path, { recursive: true });
    const lock = await FolderLock.take(path);
    try {
      await checkFormat(path);
      const generation = await readGeneration(path);
      const folder = new DataFolder(path, lock, generation);
      await folder.#removeOtherGenerations();
      return folder;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  engineFolder(policy: string, generation = this.#generation): string {
    return join(this.path, `g${generation}`, policy);
  }

  get nextGeneration(): number {
    return this.#generation + 1;
  }

  /** Makes `generation` the one in use, at once or not at all, and removes the others. */
  async switchTo(generation: number): Promise<void> {
    await writeDurably(join(this.path, 'CURRENT'), `g${generation}\n`);
    this.#generation = generation;
    await this.#removeOtherGenerations();
  }

  get snapshots(): string {
    return join(this.path, 'snapshots');
  }

  /**
   * Where the revisions of the memory engine begin in this run: past all of earlier runs, which nothing else remembers.
   */
  async nextCacheRevision(nowMs: number): Promise<number> {
    const file = join(this.path, 'CACHE');
    const last = Number(await readText(file)) || 0;
    const next = Math.max(last + CACHE_REVISIONS_PER_RUN, nowMs * 1_000);
    await writeDurably(file, `${next}\n`);
    return next;
  }

  close(): Promise<void> {
    return this.#lock.release();
  }

  async #removeOtherGenerations(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (/^g\d+$/.test(name) && name !== `g${this.#generation}`) {
        await rm(join(this.path, name), { recursive: true, force: true });
      }
    }
  }
}

/** More than a run can use: at a million writes a second, eleven days. By the clock it grows as fast. */
const CACHE_REVISIONS_PER_RUN = 1e12;

async function checkFormat(path: string): Promise<void> {
  const file = join(path, 'FORMAT');
  const text = await readText(file);
  if (text === undefined) return writeDurably(file, `${JSON.stringify({ format: FORMAT })}\n`);
  const format = readFormat(text);
  if (format === undefined) throw new Error(`${file} is not readable: ${JSON.stringify(text.slice(0, 80))}`);
  if (format > FORMAT) {
    throw new Error(
      `${path} was written by a newer version (format ${format}; this one knows ${FORMAT}): run that version, or start with another folder`,
    );
  }
}

function readFormat(text: string): number | undefined {
  try {
    const { format } = JSON.parse(text) as { format?: unknown };
    return Number.isInteger(format) ? (format as number) : undefined;
  } catch {
    return undefined;
  }
}

async function readGeneration(path: string): Promise<number> {
  const file = join(path, 'CURRENT');
  const text = await readText(file);
  if (text !== undefined) return Number(text.trim().slice(1));
  await writeDurably(file, 'g1\n');
  return 1;
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Replaces a small file so that after a crash either the old or the new text is there. */
export async function writeDurably(file: string, text: string): Promise<void> {
  const unfinished = `${file}.unfinished`;
  await writeFile(unfinished, text, { flush: true });
  await rename(unfinished, file);
  const folder = await open(join(file, '..'), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
