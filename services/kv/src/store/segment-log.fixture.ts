/** What the tests of the segment log share: folders that go away, a log in them, and ways to look at both. */

import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach } from '@jest/globals';
import type { Log, LogRecord } from './log.ts';
import { openSegmentLog, type SegmentLogOptions } from './segment-log.ts';

/** Printed by every random test; the environment's SEED repeats a run. */
export const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));
export const LOG_MODULE = new URL('./segment-log.ts', import.meta.url).href;

/** A folder for each test, and more on demand; call once at the top of a test file. */
export class TestFolders {
  readonly #root = fs.mkdtempSync(join(tmpdir(), 'segment-log-'));
  #count = 0;
  /** The present test's folder, which does not exist yet. */
  current = this.create();

  constructor() {
    beforeEach(() => {
      this.current = this.create();
    });
    afterAll(() => fs.rmSync(this.#root, { recursive: true, force: true }));
  }

  create(): string {
    return join(this.#root, String(this.#count++));
  }

  /** What a crash of this moment leaves, as a folder of its own. */
  crashCopy(source = this.current): string {
    const target = this.create();
    fs.cpSync(source, target, { recursive: true });
    return target;
  }

  open(options: Partial<SegmentLogOptions> = {}, path = this.current): Promise<Log> {
    return openSegmentLog(path, { sync: 'always', segmentBytes: 64 * 1024, ...options });
  }

  /** Opens, runs, closes: whatever happens, no descriptor stays behind. */
  async withLog<T>(
    options: Partial<SegmentLogOptions>,
    use: (log: Log) => Promise<T>,
    path = this.current,
  ): Promise<T> {
    const log = await this.open(options, path);
    try {
      return await use(log);
    } finally {
      await log.close();
    }
  }
}

export async function records(log: Log, from = 0): Promise<LogRecord[]> {
  const found: LogRecord[] = [];
  for await (const record of log.replay(from)) found.push(record);
  return found;
}

export async function texts(log: Log, from = 0): Promise<string[]> {
  return (await records(log, from)).map((record) => Buffer.from(record.body).toString('latin1'));
}

export const bytes = (text: string): Uint8Array[] => [Buffer.from(text, 'latin1')];

export async function appendAll(log: Log, bodies: readonly string[]): Promise<number[]> {
  const ends: number[] = [];
  for (const body of bodies) ends.push(await log.append(bytes(body)));
  return ends;
}

export function names(suffix: string, path: string): string[] {
  return fs
    .readdirSync(path)
    .filter((name) => name.endsWith(suffix))
    .sort();
}

export const segmentPaths = (path: string): string[] => names('.log', path).map((name) => join(path, name));

export function changeByte(path: string, at: number, change: (byte: number) => number): void {
  const contents = fs.readFileSync(path);
  contents[at] = change(contents[at] ?? 0);
  fs.writeFileSync(path, contents);
}

/** mulberry32: small, and the same everywhere. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
