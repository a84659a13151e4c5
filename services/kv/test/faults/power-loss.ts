/**
 * What a loss of power may leave of a data folder: everything that was synced, and of the rest whatever the disk had
 * got to. Applied to a copy taken while the process was frozen, so nothing changes underneath.
 *
 * What was synced is told from the files alone. In the log that is opened with O_DSYNC one append is under way at a
 * time, so all records but the last were synced; the caller says whether the last was answered. A log that syncs later
 * says in each record's header how much before it was not yet durable (`record-frame.ts`). LMDB stamps its pages with
 * the transaction that wrote them and writes the meta page last, after a sync: pages newer than the meta page belong
 * to a transaction under way. Assumed of the disk: what was synced stays when a neighbouring byte is written.
 */
import { closeSync, cpSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import type { SeededRandom } from '@plinth/testkit';
import { type Command, decodeCommands } from '../../src/core/command.ts';
import { openLmdbEnv, readPosition } from '../../src/store/lmdb-env.ts';
import { FRAME_HEADER_BYTES, readFrameHeader } from '../../src/store/record-frame.ts';
import { readFrames, type SegmentSource } from '../../src/store/segment-scan.ts';

export interface LossOptions {
  random: SeededRandom;
  /** True when a command of the last record may have been answered: then the record was synced. */
  wasAnswered: (command: Command) => boolean;
  /** Of a log that syncs later: lose all that is not known to be durable. */
  syncsLater?: boolean;
}

/** What was done to a copy, for the test's own account of what it has tried. */
export interface Loss {
  log: 'nothing unsynced' | 'kept' | 'zeroed' | 'garbage' | 'cut' | 'pages';
  unfinishedSegment: boolean;
  trimUndone: boolean;
  lmdbPages: number;
  lmdbMeta: boolean;
  /** Time of the first record that was not synced, milliseconds since 1970; Infinity: all were. */
  unsyncedFromMs: number;
}

/** A copy of a frozen process's folder, as it would lie there after a restart of the machine. */
export function copyFolder({ source, target }: { source: string; target: string }): void {
  cpSync(source, target, { recursive: true });
  rmSync(join(target, 'LOCK'), { recursive: true, force: true });
}

/** Destroys what was not synced of one engine's folder: `g1/durable`, `g1/write-back`. */
export async function losePower(engineFolder: string, options: LossOptions): Promise<Loss> {
  const { random } = options;
  const state = join(engineFolder, 'state', 'state.mdb');
  const logFolder = join(engineFolder, 'log');
  const trimUndone = random() < 0.3 && undoTrim(logFolder);
  const unfinishedSegment = random() < 0.5 && (await forgetEmptySegment(logFolder));
  const lmdbPages = losePages(state, random);
  // After the pages: the meta page of before must not depend on them.
  const lmdbMeta = random() < 0.3 && loseMeta(state, firstPosition(logFolder));
  const tail = await loseTail(logFolder, readStorePosition(state), options);
  return { ...tail, trimUndone, unfinishedSegment, lmdbPages, lmdbMeta };
}

// ---------------------------------------------------------------- the log

const SEGMENT = /^([0-9a-f]{16})-([0-9a-f]{8})\.log$/;

function segmentsIn(folder: string): SegmentSource[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const [, start, magic] = SEGMENT.exec(name) ?? [];
      if (start === undefined) return [];
      return [{ path: join(folder, name), start: Number.parseInt(start, 16), magic: Number.parseInt(magic!, 16) }];
    });
}

const firstPosition = (folder: string): number => segmentsIn(folder)[0]?.start ?? 0;

interface Record {
  position: number;
  end: number;
  commands: readonly Command[];
  timeMs: number;
}

async function recordsOf(segment: SegmentSource): Promise<Record[]> {
  const records: Record[] = [];
  let position = segment.start;
  for await (const { end, body } of readFrames(segment, { from: segment.start })) {
    records.push({ position, end, ...decodeCommands(Buffer.from(body)) });
    position = end;
  }
  return records;
}

/** The rename of a segment that `trim` retired, which is synced only after it. */
function undoTrim(folder: string): boolean {
  const first = firstPosition(folder);
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.log.spare'))) {
    const path = join(folder, name);
    const original = path.slice(0, -'.spare'.length);
    const [, start] = SEGMENT.exec(name.slice(0, -'.spare'.length)) ?? [];
    if (start === undefined || Number.parseInt(start, 16) + statSync(path).size < first) continue;
    renameSync(path, original);
    return true;
  }
  return false;
}

/** A segment without a record may not have been there yet, as far as the disk knows. */
async function forgetEmptySegment(folder: string): Promise<boolean> {
  const segments = segmentsIn(folder);
  const last = segments.at(-1);
  if (last === undefined || segments.length < 2 || (await recordsOf(last)).length > 0) return false;
  rmSync(last.path);
  return true;
}

async function loseTail(
  folder: string,
  storePosition: number,
  { random, wasAnswered, syncsLater = false }: LossOptions,
): Promise<Pick<Loss, 'log' | 'unsyncedFromMs'>> {
  const segment = segmentsIn(folder).at(-1)!;
  const records = await recordsOf(segment);
  const last = records.at(-1);
  const isLastSafe = last === undefined || last.commands.some(wasAnswered);
  const syncedUpTo = syncsLater ? durableAt(segment, last) : isLastSafe ? (last?.end ?? segment.start) : last.position;
  // A store that syncs at once may stand behind the end of a log that does not.
  const from = syncsLater ? syncedUpTo : Math.max(syncedUpTo, storePosition);
  const fileEnd = segment.start + statSync(segment.path).size;
  const to = Math.min(fileEnd, Math.max(last?.end ?? 0, from) + 65_536);
  const unsyncedFromMs = records.find(({ position }) => position >= from)?.timeMs ?? Infinity;
  if (from >= to) return { log: 'nothing unsynced', unsyncedFromMs };
  const log = random.pick(['kept', 'zeroed', 'garbage', 'cut', 'cut', 'pages', 'pages'] as const);
  await damage(segment, { from, to, way: log, random });
  return { log, unsyncedFromMs };
}

/** What the last record says was durable when it was written. */
function durableAt(segment: SegmentSource, last: Record | undefined): number {
  if (last === undefined) return segment.start;
  const bytes = readAt(segment.path, last.position - segment.start, FRAME_HEADER_BYTES);
  const header = readFrameHeader(bytes, { magic: segment.magic, position: last.position })!;
  return last.position - header.unsyncedBytes;
}

const SECTOR_BYTES = 512;
const PAGE_BYTES = 4_096;

async function damage(
  { path, start }: SegmentSource,
  { from, to, way, random }: { from: number; to: number; way: Loss['log']; random: SeededRandom },
): Promise<void> {
  const offset = from - start;
  const length = to - from;
  if (way === 'zeroed') writeAt(path, offset, Buffer.alloc(length));
  if (way === 'garbage') writeAt(path, offset, randomBytes(length, random));
  if (way === 'cut') await truncate(path, offset + random.int(length));
  if (way !== 'pages') return;
  const unit = random.pick([SECTOR_BYTES, PAGE_BYTES]);
  for (let at = 0; at < length; ) {
    const end = Math.min(length, at + unit - ((offset + at) % unit));
    if (random() < 0.5) writeAt(path, offset + at, Buffer.alloc(end - at));
    at = end;
  }
}

// ---------------------------------------------------------------- LMDB

/** A page begins with its number and the transaction that wrote it; a meta page's own is behind 24 + 120 bytes. */
const TXN_AT = 8;
const META_AT = 24;
const META_BYTES = 136;
const META_TXN_AT = META_AT + META_BYTES - 8;

/** Overwrites pages of a transaction that was under way: any of them may or may not have reached the disk. */
function losePages(file: string, random: SeededRandom): number {
  const committed = Math.max(metaTxn(file, 0), metaTxn(file, 1));
  const likelihood = random();
  let lost = 0;
  for (let page = 2; page < Math.floor(statSync(file).size / PAGE_BYTES); page++) {
    const header = readAt(file, page * PAGE_BYTES, 16);
    const isWhole = Number(header.readBigUInt64LE(0)) === page;
    if (!isWhole || Number(header.readBigUInt64LE(TXN_AT)) !== committed + 1 || random() >= likelihood) continue;
    writeAt(file, page * PAGE_BYTES, randomBytes(PAGE_BYTES, random));
    lost++;
  }
  return lost;
}

/** The last meta page not written: allowed only where the log still reaches back to the one before. */
function loseMeta(file: string, logBegins: number): boolean {
  const [older, newer] = metaTxn(file, 0) < metaTxn(file, 1) ? [0, 1] : [1, 0];
  const before = readAt(file, newer * PAGE_BYTES + META_AT, META_BYTES);
  writeAt(file, newer * PAGE_BYTES + META_AT, readAt(file, older * PAGE_BYTES + META_AT, META_BYTES));
  if (readStorePosition(file) >= logBegins) return true;
  writeAt(file, newer * PAGE_BYTES + META_AT, before);
  return false;
}

const metaTxn = (file: string, page: number): number =>
  Number(readAt(file, page * PAGE_BYTES + META_TXN_AT, 8).readBigUInt64LE());

/** Read from a copy, because to open the file changes it. */
function readStorePosition(file: string): number {
  const copy = `${file}.look`;
  cpSync(file, copy);
  const env = openLmdbEnv({ file: copy, mapSizeBytes: 2 ** 30 });
  try {
    return readPosition(env);
  } finally {
    void env.root.close();
    for (const path of [copy, `${copy}-lock`]) rmSync(path, { force: true });
  }
}

// ---------------------------------------------------------------- bytes

function randomBytes(length: number, random: SeededRandom): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = random.int(256);
  return bytes;
}

function readAt(path: string, offset: number, length: number): Buffer {
  const file = openSync(path, 'r');
  const bytes = Buffer.alloc(length);
  readSync(file, bytes, 0, length, offset);
  closeSync(file);
  return bytes;
}

function writeAt(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}
