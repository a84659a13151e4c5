/**
 * What is looked at before LMDB gets a file. lmdb-js 3.5.6 ends the process with a segmentation fault a moment after
 * `open` threw MDB_INVALID or MDB_VERSION_MISMATCH; and LMDB reads through a map, where a page behind the end of the
 * file is a SIGBUS. So a file that is foreign, or was cut off while it was copied, must be refused in words before.
 *
 * Layout, of mdb.c 0.9.90, little-endian, pages of 4 KiB: two meta pages, the newer of which counts; then trees.
 *
 *     page   u64 number, u64 transaction, u16 –, u16 flags, u16 lower, u16 upper; node offsets, counted from byte 24
 *     meta   24: u32 magic, u32 version, u64, u64, two databases (free pages, main), u64 last page, u64 transaction
 *     db     48 bytes, the last 8 are the page of its root
 *     node   u16 low, u16 high, u16 flags, u16 key length, key, data; in a branch low, high and flags are a page
 */
import { type FileHandle, open } from 'node:fs/promises';

const PAGE_BYTES = 4096;
const PAGE_HEADER_BYTES = 24;
const META_MAGIC = Buffer.from('dec0efbe02000000', 'hex');
const DB_BYTES = 48;
const FREE_DB_AT = PAGE_HEADER_BYTES + 24;
const LAST_PAGE_AT = FREE_DB_AT + 2 * DB_BYTES;

const IS_BRANCH = 0x01;
const IS_LEAF = 0x02;
const HAS_BIG_DATA = 0x01;
const HAS_SUB_DB = 0x02;
const NO_ROOT = 2n ** 64n - 1n;

/**
 * Refuses what is no data file of this format, and one that lacks pages.
 *
 * @throws Error `MDB_INVALID`, `MDB_CORRUPTED`.
 * Cost: two reads. Only for a file that is shorter than it once was, all its pages: LMDB may leave out free ones at the
 * end, so that alone is no damage.
 */
export async function assertLmdbFile(file: string): Promise<void> {
  const handle = await open(file, 'r');
  try {
    const first = await readPage(handle, 0);
    const second = await readPage(handle, 1);
    if (!isMeta(first) || !isMeta(second)) throw foreign(file);
    const meta = transactionOf(first) > transactionOf(second) ? first : second;
    const pages = Math.floor((await handle.stat()).size / PAGE_BYTES);
    if (Number(meta.readBigUInt64LE(LAST_PAGE_AT)) < pages) return;
    const missing = await findMissing(handle, meta);
    if (missing !== undefined) throw cutOff(file, pages, missing);
  } finally {
    await handle.close();
  }
}

const isMeta = (page: Buffer | undefined): page is Buffer =>
  page?.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + META_MAGIC.length).equals(META_MAGIC) ?? false;

const transactionOf = (meta: Buffer): bigint => meta.readBigUInt64LE(LAST_PAGE_AT + 8);

const foreign = (file: string): Error =>
  Object.assign(new Error(`${file} is not a data file of LMDB 0.9.90`), { code: 'MDB_INVALID' });

const cutOff = (file: string, pages: number, missing: number): Error =>
  Object.assign(new Error(`${file} is cut off: it has ${pages} pages, and page ${missing} is in use`), {
    code: 'MDB_CORRUPTED',
  });

/** The first page found that is in use and not there. */
async function findMissing(handle: FileHandle, meta: Buffer): Promise<number | undefined> {
  const waiting = [rootOf(meta, FREE_DB_AT), rootOf(meta, FREE_DB_AT + DB_BYTES)].flat();
  for (let page = waiting.pop(); page !== undefined; page = waiting.pop()) {
    const bytes = await readPage(handle, page.number + page.length - 1);
    if (bytes === undefined) return page.number + page.length - 1;
    if (!page.isOverflow) waiting.push(...pagesBelow(bytes));
  }
  return undefined;
}

interface Pages {
  number: number;
  length: number;
  /** Nothing but a value, which no pages lie below. */
  isOverflow: boolean;
}

const onePage = (number: number): Pages => ({ number, length: 1, isOverflow: false });

function rootOf(bytes: Buffer, at: number): Pages[] {
  const root = bytes.readBigUInt64LE(at + DB_BYTES - 8);
  return root === NO_ROOT ? [] : [onePage(Number(root))];
}

function pagesBelow(page: Buffer): Pages[] {
  const flags = page.readUInt16LE(18);
  const nodes = Array.from(
    { length: page.readUInt16LE(20) / 2 },
    (_, index) => PAGE_HEADER_BYTES + page.readUInt16LE(PAGE_HEADER_BYTES + 2 * index),
  );
  if (flags & IS_BRANCH) return nodes.map((at) => onePage(page.readUIntLE(at, 6)));
  return flags & IS_LEAF ? nodes.flatMap((at) => pagesOfNode(page, at)) : [];
}

function pagesOfNode(page: Buffer, at: number): Pages[] {
  const flags = page.readUInt16LE(at + 4);
  const data = at + 8 + page.readUInt16LE(at + 6);
  if (flags & HAS_SUB_DB) return rootOf(page, data);
  if ((flags & HAS_BIG_DATA) === 0) return [];
  const length = Math.ceil((PAGE_HEADER_BYTES + page.readUInt32LE(at)) / PAGE_BYTES);
  return [{ number: Number(page.readBigUInt64LE(data)), length, isOverflow: true }];
}

/** Undefined: the file ends before its end. */
async function readPage(handle: FileHandle, number: number): Promise<Buffer | undefined> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(PAGE_BYTES), 0, PAGE_BYTES, number * PAGE_BYTES);
  return bytesRead === PAGE_BYTES ? buffer : undefined;
}
