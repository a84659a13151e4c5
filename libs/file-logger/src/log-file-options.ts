import { checkFormat } from './compression.ts';
import type { Durability } from './line-sink.ts';
import type { RotationOptions } from './rotation.ts';
import type { LogFileError } from './trouble.ts';

export interface LogFileOptions {
  /** File to append to; its folder is made. A FIFO or a device will do. Or: */
  path?: string;
  /** an open descriptor, that is not ours to close or rotate: 1 is standard output. */
  descriptor?: number;
  /** Default `none`. The file itself only keeps its rotations as safe as that; when to sync is the caller's. */
  durability?: Durability;
  /** Between two syncs of `interval`, in milliseconds. Default 100. */
  intervalMs?: number;
  rotation?: RotationOptions;
  /** Of new files, default 0o640. */
  mode?: number;
  /** After a failed write, in milliseconds; doubles up to 5,000. Default 100. */
  retryMs?: number;
  /** True: a pipe that is full is found so (`retryInMs`), instead of holding the thread, where the system can do that. */
  isWaitless?: boolean;
  /** Told once when a kind of trouble begins and once when it is over. Default: a warning of the process. */
  onError?(error: LogFileError): void;
  /** The wall clock, for names and periods: milliseconds since 1970. */
  now?: () => number;
  /** How long a rotated file is left alone before it is compressed: other processes may still write to it. Default 1,000. */
  settleMs?: number;
}

/** @throws TypeError or RangeError that names the option and what it may be. */
export function checkLogFileOptions(options: LogFileOptions): void {
  const { path, descriptor, rotation = {}, retryMs } = options;
  if ((path === undefined) === (descriptor === undefined)) {
    throw new TypeError('a log file needs either a path or a descriptor');
  }
  if (path === '') throw new TypeError('path is empty');
  if (descriptor !== undefined && !(Number.isInteger(descriptor) && descriptor >= 0)) {
    throw new RangeError(`descriptor is ${descriptor}; it is a whole number from 0`);
  }
  if (descriptor !== undefined && options.rotation) throw new TypeError('a descriptor cannot be rotated: give a path');
  const { bytesMax, every, keepFiles, keepBytes, keepMs, compress } = rotation;
  if (typeof every === 'string' && every !== 'hour' && every !== 'day') {
    throw new RangeError(`rotation.every is ${JSON.stringify(every)}; it is hour, day or milliseconds`);
  }
  checkAtLeast({ retryMs, 'rotation.bytesMax': bytesMax, 'rotation.keepMs': keepMs }, 1);
  if (typeof every === 'number') checkAtLeast({ 'rotation.every': every }, 1);
  checkAtLeast({ 'rotation.keepFiles': keepFiles, 'rotation.keepBytes': keepBytes }, 0);
  if (compress) checkFormat(compress);
}

/** @throws RangeError that names the first of the numbers which is less, or is none. */
export function checkAtLeast(numbers: Record<string, number | undefined>, least: number): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined && !(typeof value === 'number' && value >= least)) {
      throw new RangeError(`${name} is ${value}; the least is ${least}`);
    }
  }
}
