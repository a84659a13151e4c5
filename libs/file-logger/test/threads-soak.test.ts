import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const LINES = process.env.PLINTH_LONG ? 5_000_000 : 1_000_000;

test(`${LINES} lines of 8 threads: each there once and in its order, memory flat`, async () => {
  const script = new URL('./threads-soak.ts', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, [script, String(LINES)]);
  const result = JSON.parse(stdout.trim().split('\n').at(-1)!);
  expect(result).toMatchObject({ lines: LINES, readBack: LINES, written: LINES, faults: 0, pending: 0 });
  expect(result.dropped).toEqual({ full: 0, tooLong: 0, failed: 0, torn: 0 });
  const [early, late] = [result.rssMib[Math.floor(result.rssMib.length / 2)], result.rssMib.at(-1)];
  // Ten heaps, each of which takes its time to find its size.
  expect(late).toBeLessThan(early * 1.3);
}, 240_000);
