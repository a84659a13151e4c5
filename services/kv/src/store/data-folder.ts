/**
 * The folder that holds everything, and who may use it.
 *
 *   FORMAT            {"format":1}: what the rest means
 *   LOCK/             who uses it now
 *   CURRENT           the name of the generation in use: `g1`; a restore makes the next one and renames this file
 *   CACHE             where revisions of cache buckets go on, so that an ETag is never given twice
 *   g1/durable, g1/write-back    log/ and state/ of an engine
 *   snapshots/<id>/   copies of both states; `<id>.unfinished` while one is made or deleted
 *
 * The small files are written in this order when the folder is new, and nothing is deleted before all of them make
 * sense: what cannot be explained by a crash is refused in words, because guessing wrong would delete everything.
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
   * @throws Error when it cannot be written, when another process uses it, when it was written by a newer version, or
   * when it was damaged; it is unchanged then.
   */
  static async open(path: string): Promise<DataFolder> {
    const lock = await take(path);
    try {
      const generations = await listGenerations(path);
      await checkFormat(path, generations);
      const generation = await readGeneration(path, generations);
      const folder = new DataFolder(path, lock, generation);
      await folder.#removeOtherGenerations();
      await folder.#removeUnfinishedSnapshots();
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
    const byClock = Math.floor(nowMs * CACHE_REVISIONS_PER_MS);
    const next = byClock > last ? byClock : last + CACHE_REVISIONS_PER_RUN;
    await writeDurably(file, `${next}\n`);
    return next;
  }

  close(): Promise<void> {
    return this.#lock.release();
  }

  async #removeOtherGenerations(): Promise<void> {
    for (const generation of await listGenerations(this.path)) {
      if (generation === this.#generation) continue;
      await rm(join(this.path, `g${generation}`), { recursive: true, force: true });
    }
  }

  async #removeUnfinishedSnapshots(): Promise<void> {
    for (const name of await readNames(this.snapshots)) {
      if (name.endsWith('.unfinished')) await rm(join(this.snapshots, name), { recursive: true, force: true });
    }
  }
}

/** As fast as a run can use them: a million a second. So a later run begins behind an earlier one by the clock alone. */
const CACHE_REVISIONS_PER_MS = 1_000;
/** For a clock that went back: more than the earlier run can have used in eleven days. */
const CACHE_REVISIONS_PER_RUN = 1e12;

async function take(path: string): Promise<FolderLock> {
  try {
    await mkdir(path, { recursive: true });
    return await FolderLock.take(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new Error(`${path} cannot be the data folder: ${(error as Error).message}`, { cause: error });
  }
}

async function listGenerations(path: string): Promise<number[]> {
  const names = await readdir(path);
  return names.filter((name) => GENERATION.test(name)).map((name) => Number(name.slice(1)));
}

const GENERATION = /^g[1-9]\d{0,14}$/;

async function readNames(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** @param generations - Those found: a folder that has one was given its format before. */
async function checkFormat(path: string, generations: readonly number[]): Promise<void> {
  const file = join(path, 'FORMAT');
  const text = await readText(file);
  if (text === undefined) {
    if (generations.length > 0) throw damaged(path, `FORMAT is missing, yet there is ${namesOf(generations)}`);
    return writeDurably(file, `${JSON.stringify({ format: FORMAT })}\n`);
  }
  const format = readFormat(text);
  if (format === undefined) throw damaged(path, `FORMAT says ${quoted(text)}`);
  if (format > FORMAT) {
    throw new Error(
      `${path} was written by a newer version (format ${format}; this one knows ${FORMAT}): run that version, or start with another folder`,
    );
  }
}

function readFormat(text: string): number | undefined {
  try {
    const { format } = JSON.parse(text) as { format?: unknown };
    return Number.isInteger(format) && (format as number) > 0 ? (format as number) : undefined;
  } catch {
    return undefined;
  }
}

/** @param generations - Those found: the one in use is among them, unless the folder was never used. */
async function readGeneration(path: string, generations: readonly number[]): Promise<number> {
  const file = join(path, 'CURRENT');
  const text = await readText(file);
  if (text === undefined) {
    if (generations.length > 0) throw damaged(path, `CURRENT is missing, yet there is ${namesOf(generations)}`);
    await writeDurably(file, 'g1\n');
    return 1;
  }
  const name = text.trim();
  if (!GENERATION.test(name)) throw damaged(path, `CURRENT says ${quoted(text)}; there is ${namesOf(generations)}`);
  const generation = Number(name.slice(1));
  if (generations.length > 0 && !generations.includes(generation)) {
    throw damaged(path, `CURRENT says ${name}; there is ${namesOf(generations)}`);
  }
  return generation;
}

const damaged = (path: string, what: string): Error => new Error(`${path} is damaged: ${what}`);
const namesOf = (generations: readonly number[]): string =>
  generations.length === 0 ? 'no data' : generations.map((generation) => `g${generation}`).join(', ');
const quoted = (text: string): string => JSON.stringify(text.slice(0, 80));

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
