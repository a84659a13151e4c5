/** A real file system of some megabytes that can be filled and freed. Needs root; where it may not be made, tests are skipped. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { tempDir } from '@plinth/testkit';

export type FileSystem = 'tmpfs' | 'ext4';

export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  private constructor(path: string) {
    this.path = path;
    this.#filler = join(path, 'filler');
  }

  /** Undefined where mounting is refused. `unmount` it. */
  static mount(type: FileSystem, sizeMb: number): SmallDisk | undefined {
    const folder = tempDir(`kv-${type}`);
    const path = join(folder, 'disk');
    mkdirSync(path);
    try {
      if (type === 'tmpfs') run('mount', '-t', 'tmpfs', '-o', `size=${sizeMb}m`, 'tmpfs', path);
      else mountImage({ image: join(folder, 'image'), path, sizeMb });
      return new SmallDisk(path);
    } catch {
      return undefined;
    }
  }

  /** Leaves so many bytes, about. */
  fill(freeBytes = 0): void {
    const file = openSync(this.#filler, 'a');
    const block = Buffer.alloc(4_096, 'x');
    try {
      while (this.freeBytes > freeBytes) writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  /** ext4 gives a file's blocks back with its journal: without the sync, what is filled next would empty by itself. */
  free(): void {
    rmSync(this.#filler, { force: true });
    const folder = openSync(this.path, 'r');
    fsyncSync(folder);
    closeSync(folder);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Lazily, for a test that failed has left its process on it. */
  unmount(): void {
    run('umount', '--lazy', this.path);
  }
}

function mountImage({ image, path, sizeMb }: { image: string; path: string; sizeMb: number }): void {
  writeFileSync(image, '');
  truncateSync(image, sizeMb * 1_048_576);
  // No blocks in reserve: root is to meet the end of the disk as everyone does.
  run('mkfs.ext4', '-q', '-F', '-m', '0', image);
  run('mount', '-o', 'loop', image, path);
}

const run = (command: string, ...args: string[]) => execFileSync(command, args, { stdio: 'ignore' });
