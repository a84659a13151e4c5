/** On which machine and of which commit the figures are: without it they mean nothing. */
import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './median.ts';

const REPOSITORY = fileURLToPath(new URL('..', import.meta.url));

/** Magic numbers of statfs(2) in which data never reaches a disk. */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);
const FSYNC_SAMPLES = 200;

/** A machine, as far as it matters for speed. */
export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  /** Of the last minute, when the run began. */
  loadAverage: number;
  /** The median time to write 128 bytes and wait until they are on disk: the floor of one durable put. */
  fdatasyncMs: number;
  /** False: the folder is memory, and durable writes were not measured. */
  isOnDisk: boolean;
}

/** Describes this machine; `dir` is where the servers keep their data. Cost: 200 fdatasyncs. */
export function describeMachine(dir: string): Machine {
  const cores = cpus();
  return {
    cpu: cores[0]?.model.trim() ?? 'unknown',
    cores: cores.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    loadAverage: Number(loadavg()[0]!.toFixed(2)),
    fdatasyncMs: Number(fdatasyncMs(dir).toFixed(3)),
    isOnDisk: !MEMORY_FILE_SYSTEMS.has(statfsSync(dir).type),
  };
}

function fdatasyncMs(dir: string): number {
  const path = join(dir, 'fdatasync-probe');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(128, 'x');
  const samplesMs = Array.from({ length: FSYNC_SAMPLES }, () => {
    const startedMs = performance.now();
    writeSync(file, block);
    fdatasyncSync(file);
    return performance.now() - startedMs;
  });
  closeSync(file);
  rmSync(path);
  return median(samplesMs);
}

/** The commit under test, with `+changes` when the work tree differs from it; `unknown` outside a repository. */
export function describeCommit(): string {
  try {
    const commit = git('rev-parse', '--short', 'HEAD');
    return git('status', '--porcelain') === '' ? commit : `${commit}+changes`;
  } catch {
    return 'unknown';
  }
}

function git(...args: string[]): string {
  return execFileSync('git', args, { cwd: REPOSITORY, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
