/**
 * The store on disk: an in-memory overlay in front of LMDB.
 *
 * The idea. LMDB is a single file of 4 KiB pages that a reader walks without a copy and a writer changes without
 * overwriting: durable, ordered, and slow to commit, because a commit waits for the disk. So `step` never commits. It
 * changes an overlay in memory, which reads look into first, and notes each effect in a buffer. `checkpoint` hands the
 * buffer to a writer thread, which applies all of it and the log position in ONE transaction, synced by LMDB itself.
 * What a crash loses is the overlay, and the log has that.
 *
 *     step ──▶ active overlay ──(checkpoint: freeze)──▶ frozen overlay ──(writer: commit + sync)──▶ LMDB
 *     get  ──▶ active, else frozen, else row cache, else LMDB; a removed key is a null that hides what lies below
 *
 * A checkpoint. The active overlay freezes and a new one starts, so steps go on meanwhile. The writer gets copies of its
 * effects, most of them made while it filled. When it confirms, this thread drops its read transaction, so that the next
 * read sees the new pages, and the frozen overlay becomes part of the row cache. Between commit and confirmation reads
 * find the same values in both.
 *
 * When it fails. The frozen overlay takes over what the active one gathered meanwhile and becomes the active one again,
 * as if the checkpoint had not begun: nothing is lost, and the next call tries everything. If the thread died, it is
 * unknown whether the commit happened; applying the same effects once more gives the same state. LMDB's environment is
 * shared by both threads and may have died with a transaction open, so then both ends are opened anew.
 *
 * Creation. LMDB writes the first two pages of a new file without a sync, so a file is made under another name, synced
 * and renamed: `state.mdb` is either absent or whole.
 *
 * Tried and not taken: lmdb-js's own asynchronous `put` (encodes on this thread at checkpoint time, about 1 µs per
 * effect, a stall of 60 ms for 60,000); encoding the effects from the frozen overlay (the same stall); a SharedArrayBuffer
 * for them (survives a dead writer, but V8 does not count it as garbage, so it piles up).
 */
import { existsSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointWriter, type StartWriter, startWriter, WriterDied } from './checkpoint-writer.ts';
import { type LmdbEnv, MAP_SIZE_BYTES, openLmdbEnv, rangeOf, readPosition } from './lmdb-env.ts';
import { assertLmdbFile } from './lmdb-file.ts';
import { Overlay } from './overlay.ts';
import { isEmptyRange, type Layer, mergeLayers } from './range-merge.ts';
import { hashOf } from './row-arena.ts';
import { RowCache } from './row-cache.ts';
import type { ByteString, Entry, LogPosition, Range, Store, Table } from './store.ts';

export interface LmdbStoreOptions {
  /** Where a checkpoint that failed is told. Default: nowhere; the promise says it too. */
  log?: { warn(message: string, fields?: Record<string, unknown>): void };
  /** Address space for the map in bytes; LMDB grows it when it is too small. Default: 1 TiB, see `lmdb-env.ts`. */
  mapSizeBytes?: number;
  /** Rows of the file that are kept in plain memory once they were used, in bytes. Default: 0, none. */
  cacheBytes?: number;
  /** Starts the writer thread. Default: `lmdb-writer.ts`. */
  startWriter?: StartWriter;
}

const DATA_FILE = 'state.mdb';

/**
 * Opens the store in `folder`, which is created if absent; `position` is then that of the last checkpoint.
 *
 * One process at a time: LMDB would allow more, but their overlays would not know of each other. The caller holds a
 * lock on the folder; nothing here checks it. In one process, two open stores on one folder are a bug for the same
 * reason.
 *
 * @throws Error with LMDB's `code` when the file is damaged, is no LMDB file or cannot be opened.
 * Cost: a few milliseconds; a new folder three syncs more. No thread is started before the first checkpoint.
 */
export async function openLmdbStore(folder: string, options: LmdbStoreOptions = {}): Promise<Store> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, DATA_FILE);
  const mapSizeBytes = options.mapSizeBytes ?? MAP_SIZE_BYTES;
  if (!existsSync(file)) {
    await publish(folder, async (draft) => openLmdbEnv({ file: draft, mapSizeBytes }).root.close());
  }
  await assertLmdbFile(file);
  return new LmdbStore({ file, mapSizeBytes }, options);
}

export class LmdbStore implements Store {
  readonly #source: { file: string; mapSizeBytes: number };
  readonly #log: LmdbStoreOptions['log'];
  readonly #writer: CheckpointWriter;
  readonly #cache: RowCache;
  #env: LmdbEnv;
  #active: Overlay;
  #frozen: Overlay | undefined;
  #durablePosition: LogPosition;
  /** Settles when no copy reads the environment. */
  #copying: Promise<unknown> = Promise.resolve();
  /** The checkpoint under way, and the one that those who call meanwhile share. */
  #running: Promise<LogPosition> | undefined;
  #following: Promise<LogPosition> | undefined;

  constructor(source: { file: string; mapSizeBytes: number }, options: LmdbStoreOptions) {
    this.#source = source;
    this.#log = options.log;
    this.#writer = new CheckpointWriter(source, options.startWriter ?? startWriter);
    this.#cache = new RowCache(options.cacheBytes ?? 0);
    this.#env = openLmdbEnv(source);
    this.#durablePosition = readPosition(this.#env);
    this.#active = new Overlay(this.#durablePosition);
  }

  get(table: Table, key: ByteString): Uint8Array | undefined {
    const hash = hashOf(table, key);
    let known = this.#active.get(table, key, hash);
    if (known === undefined) known = this.#frozen?.get(table, key, hash);
    if (known === undefined) known = this.#cache.get(table, key, hash);
    return known === undefined ? this.#read(table, key) : (known ?? undefined);
  }

  range(table: Table, range: Range): Iterable<Entry> {
    if (isEmptyRange(range)) return [];
    return { [Symbol.iterator]: () => this.#walk(table, range) };
  }

  put(table: Table, key: ByteString, value: Uint8Array): void {
    this.#active.set(table, key, value);
  }

  remove(table: Table, key: ByteString): void {
    this.#active.set(table, key, null);
  }

  step<T>(position: LogPosition, change: () => T): T {
    return this.#active.step(position, change);
  }

  get position(): LogPosition {
    return this.#active.position;
  }

  get durablePosition(): LogPosition {
    return this.#durablePosition;
  }

  get pendingBytes(): number {
    return this.#active.heldBytes + (this.#frozen?.heldBytes ?? 0);
  }

  checkpoint(): Promise<LogPosition> {
    // A following one that has not begun yet will cover this call too; to begin beside it would make two at once.
    if (this.#running === undefined && this.#following === undefined) return this.#begin();
    this.#following ??= this.#afterRunning();
    return this.#following;
  }

  async copyTo(target: string): Promise<LogPosition> {
    await mkdir(target, { recursive: true });
    const copied = publish(target, (draft) => this.#env.root.backup(draft, false));
    this.#copying = Promise.allSettled([this.#copying, copied]);
    await copied;
    // A checkpoint may commit before the copy takes its snapshot; only the copy itself knows which one it has.
    const copy = await openLmdbStore(target, { mapSizeBytes: this.#source.mapSizeBytes });
    await copy.close();
    return copy.position;
  }

  async close(): Promise<void> {
    await (this.#following ?? this.#running)?.catch(() => {});
    await this.#copying;
    await this.#writer.close();
    await this.#env.root.close();
  }

  /** From the file. */
  #read(table: Table, key: ByteString): Uint8Array | undefined {
    const value = key === '' ? undefined : this.#env.tables[table].get(key);
    if (value !== undefined) this.#cache.add(table, key, value);
    return value;
  }

  /** The layers that know the table, newest first. */
  #walk(table: Table, range: Range): Iterator<Entry> {
    const layers: Layer[] = [];
    for (const overlay of [this.#active, this.#frozen]) {
      const pending = overlay?.range(table, range);
      if (pending !== undefined) layers.push(pending);
    }
    const stored = rangeOf(this.#env.tables[table], range);
    return layers.length === 0 ? stored : mergeLayers([...layers, stored], range.reverse === true);
  }

  async #begin(): Promise<LogPosition> {
    if (this.#active.isInStep) throw new Error('checkpoint is not allowed inside step');
    if (this.#active.position === this.#durablePosition && this.pendingBytes === 0) return this.#durablePosition;
    this.#running = this.#write(this.#freeze());
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Its own outcome is that of the checkpoint after the running one, however the running one ends. */
  async #afterRunning(): Promise<LogPosition> {
    await this.#running?.catch(() => {});
    this.#following = undefined;
    return this.#begin();
  }

  #freeze(): Overlay {
    const frozen = this.#active;
    this.#frozen = frozen;
    this.#active = new Overlay(frozen.position, frozen.rows.keys);
    return frozen;
  }

  async #write(frozen: Overlay): Promise<LogPosition> {
    try {
      await this.#writer.write({ chunks: frozen.copyEffects(), position: frozen.position });
    } catch (error) {
      this.#thaw(frozen);
      this.#log?.warn('checkpoint failed', { code: (error as { code?: string }).code, position: frozen.position });
      if (error instanceof WriterDied) await this.#reopen();
      throw error;
    }
    // In this order, within one turn: no read may look past the overlay at the pages of before.
    this.#env.root.resetReadTxn();
    this.#frozen = undefined;
    this.#cache.written(frozen.rows);
    this.#durablePosition = frozen.position;
    return frozen.position;
  }

  #thaw(frozen: Overlay): void {
    frozen.absorb(this.#active);
    this.#active = frozen;
    this.#frozen = undefined;
  }

  async #reopen(): Promise<void> {
    await this.#copying;
    // Closing is synchronous when nothing is queued, and nothing ever is on this thread: no read comes in between.
    const closed = this.#env.root.close();
    this.#env = openLmdbEnv(this.#source);
    await closed;
  }
}

/** Lets `write` make a data file under a draft name, and gives it its real one when it is whole and on disk. */
async function publish(folder: string, write: (draft: string) => Promise<void>): Promise<void> {
  const draft = join(folder, `draft-${DATA_FILE}`);
  await rm(draft, { force: true });
  await write(draft);
  await syncPath(draft);
  await rename(draft, join(folder, DATA_FILE));
  await rm(`${draft}-lock`, { force: true });
  await syncPath(folder);
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
