/**
 * Compressing rotated files in the background, by the thread pool: read, compress, write aside, sync, rename, and only
 * then remove the original. A crash at any point leaves a whole file, and the next start does the rest.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import * as zlib from 'node:zlib';
import { codeOf } from './trouble.ts';

export type CompressionFormat = 'gzip' | 'zstd';

const ENDINGS = { gzip: '.gz', zstd: '.zst' };

/**
 * Another process notices a rotation within 250 ms of its next write and may append to the old file until then.
 * Compressing waits several times that.
 */
const SETTLE_MS = 1_000;

/** @throws RangeError when this runtime cannot do it: zstd came with Node 22.15. */
export function checkFormat(format: CompressionFormat): void {
  if (format === 'zstd' && zlib.createZstdCompress === undefined) {
    throw new RangeError('compress: zstd needs Node 22.15 or newer; gzip works everywhere');
  }
  if (!(format in ENDINGS)) throw new RangeError(`compress is ${JSON.stringify(format)}; it may be gzip or zstd`);
}

export interface CompressorOptions {
  format: CompressionFormat;
  onDone(): void;
  onError(error: unknown): void;
  /** How long a file is left alone after its rotation. Default 1,000. */
  settleMs?: number;
}

/** Compresses files one after another. Needs turns of this thread's event loop, and never keeps it alive to wait. */
export class Compressor {
  readonly #options: CompressorOptions;
  readonly #known = new Set<string>();
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: CompressorOptions) {
    checkFormat(options.format);
    this.#options = options;
  }

  /** Files that wait or are being compressed. */
  get pending(): number {
    return this.#known.size;
  }

  /** Takes a file, unless it has it already. */
  add(path: string): void {
    if (this.#isClosed || this.#known.has(path)) return;
    this.#known.add(path);
    const timer = setTimeout(() => {
      this.#last = this.#last.then(() => this.#compress(path));
    }, this.#options.settleMs ?? SETTLE_MS);
    timer.unref();
  }

  /** What waits is left to the next start; what is under way is finished. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#known.clear();
    return this.#last;
  }

  async #compress(path: string): Promise<void> {
    if (this.#isClosed) return;
    try {
      await compressFile(path, this.#options.format);
      this.#options.onDone();
    } catch (error) {
      // Removed meanwhile, by retention or by hand: nothing is left to do.
      if (codeOf(error) !== 'ENOENT') this.#options.onError(error);
    } finally {
      this.#known.delete(path);
    }
  }
}

/** Replaces a file by its compressed form. @throws What the operating system says; the file is then as it was. */
export async function compressFile(path: string, format: CompressionFormat): Promise<string> {
  const target = `${path}${ENDINGS[format]}`;
  const draft = `${target}.${process.pid}.tmp`;
  try {
    const { size, mode } = await stat(path);
    if (size > 0) {
      await pack(path, draft, { format, mode });
      await rename(draft, target);
    }
    await rm(path);
    return target;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Until nothing more came: whoever wrote late has its lines in a further member of the same file. */
async function pack(
  source: string,
  target: string,
  { format, mode }: { format: CompressionFormat; mode: number },
): Promise<void> {
  let packedBytes = 0;
  for (let size = (await stat(source)).size; packedBytes < size; size = (await stat(source)).size) {
    const input = createReadStream(source, { start: packedBytes, end: size - 1 });
    const packer = format === 'gzip' ? zlib.createGzip() : zlib.createZstdCompress();
    await pipeline(input, packer, createWriteStream(target, { flags: packedBytes === 0 ? 'w' : 'a', mode }));
    packedBytes = size;
  }
  const file = await open(target, 'r+');
  await file.sync().finally(() => file.close());
}
