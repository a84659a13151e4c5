/** The world ends in the middle: a disk that refuses, a process that is killed. */

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Log } from './log.ts';
import {
  appendAll,
  bytes,
  LOG_MODULE,
  names,
  randomFrom,
  records,
  SEED,
  segmentPaths,
  TestFolders,
  texts,
} from './segment-log.fixture.ts';
import { LogBroken, type SegmentLogOptions } from './segment-log.ts';

const folders = new TestFolders();

describe('a disk that refuses', () => {
  it('because it is full (ENOSPC): the record did not happen, and the next is taken once there is room', async () => {
    const mounted = mountSmallDisk('1m');
    if (mounted === undefined) return console.warn('not tested: tmpfs may not be mounted here');
    try {
      const path = join(mounted, 'log');
      fs.writeFileSync(join(mounted, 'filler'), Buffer.alloc(300_000));
      await folders.withLog(
        { segmentBytes: 64 << 20 },
        (log) => expectRefusal(log, 'ENOSPC', join(mounted, 'filler')),
        path,
      );
    } finally {
      execFileSync('umount', [mounted]);
    }
  });

  it('because it is full exactly when a segment begins', async () => {
    const mounted = mountSmallDisk('1m');
    if (mounted === undefined) return console.warn('not tested: tmpfs may not be mounted here');
    try {
      const path = join(mounted, 'log');
      fs.writeFileSync(join(mounted, 'filler'), Buffer.alloc(300_000));
      await folders.withLog(
        { segmentBytes: 32_000 },
        (log) => expectRefusal(log, 'ENOSPC', join(mounted, 'filler')),
        path,
      );
    } finally {
      execFileSync('umount', [mounted]);
    }
  });

  async function expectRefusal(log: Log, code: string, filler: string): Promise<void> {
    const taken: string[] = [];
    const append = async (): Promise<void> => {
      const body = `${taken.length} `.repeat(4_000);
      await log.append(bytes(body));
      taken.push(body);
    };
    const appendUntilRefused = async (): Promise<void> => {
      for (let index = 0; index < 1_000; index++) await append();
    };
    await expect(appendUntilRefused()).rejects.toMatchObject({ code });
    const { end } = log;
    await expect(appendUntilRefused()).rejects.toMatchObject({ code });
    expect(await texts(log)).toEqual(taken);
    fs.rmSync(filler);
    await append();
    expect(log.end).toBeGreaterThan(end);
    expect(await texts(log)).toEqual(taken);
  }

  it('because a file may not become longer (EFBIG): what was acknowledged stays, shorter records still fit', async () => {
    const script = `
      import { openSegmentLog } from ${JSON.stringify(LOG_MODULE)};
      process.on('SIGXFSZ', () => {});
      const log = await openSegmentLog(${JSON.stringify(folders.current)}, { sync: 'always' });
      const codes = [];
      for (let index = 0; index < 8; index++) {
        await log.append([Buffer.alloc(50_000, index)]).then(() => codes.push('ok'), (error) => codes.push(error.code));
      }
      await log.append([Buffer.from('short')]);
      await log.close();
      console.log(JSON.stringify(codes));`;
    // 300 blocks of 1 KiB: six records of 50,000 bytes fit.
    const command = 'ulimit -f 300 && exec "$0" --input-type=module -e "$1"';
    const output = execFileSync('bash', ['-c', command, process.execPath, script], { encoding: 'utf8' });
    expect(JSON.parse(output)).toEqual([...Array(6).fill('ok'), 'EFBIG', 'EFBIG']);
    await folders.withLog({}, async (log) => {
      const bodies = (await records(log)).map((record) => record.body);
      expect(bodies.map((body) => body.byteLength)).toEqual([...Array(6).fill(50_000), 5]);
    });
  });

  it('to open the next segment leaves no trace of it, and the next append begins another', async () => {
    const body = 'x'.repeat(900);
    const spare = join(folders.current, 'prepared.spare');
    fs.mkdirSync(folders.current);
    fs.writeFileSync(spare, Buffer.alloc(1_024));
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      await appendAll(log, [body]);
      fs.rmSync(spare);
      fs.symlinkSync('/nowhere/at/all', spare);
      await expect(log.append(bytes(body))).rejects.toMatchObject({ code: 'ENOENT' });
      expect(segmentPaths(folders.current)).toHaveLength(1);
      await appendAll(log, ['short', body]);
    });
    await folders.withLog({ segmentBytes: 1_024 }, async (log) => {
      expect(await texts(log)).toEqual([body, 'short', body]);
    });
  });

  it('even to cut the file leaves the log broken: it says so and takes nothing more', async () => {
    const log = await folders.open();
    try {
      await appendAll(log, ['kept']);
      const [path = ''] = segmentPaths(folders.current);
      if (!setImmutable(path, true)) return console.warn('not tested: chattr +i does not work here');
      try {
        await expect(log.append(bytes('lost'))).rejects.toThrow(LogBroken);
        await expect(log.append(bytes('lost'))).rejects.toThrow(LogBroken);
        await expect(log.flush()).rejects.toThrow(LogBroken);
      } finally {
        setImmutable(path, false);
      }
      expect(await texts(log)).toEqual(['kept']);
    } finally {
      await log.close();
    }
    await folders.withLog({}, async (again) => expect(await texts(again)).toEqual(['kept']));
  });
});

/** A file system of its own, or undefined where mounting is refused. The caller unmounts it. */
function mountSmallDisk(size: string): string | undefined {
  const path = folders.create();
  fs.mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'ignore' });
    return path;
  } catch {
    return undefined;
  }
}

function setImmutable(path: string, isImmutable: boolean): boolean {
  try {
    execFileSync('chattr', [isImmutable ? '+i' : '-i', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('a killed process', () => {
  const segmentBytes = 64 * 1024;

  /** Appends numbered records and prints each number and end once it is acknowledged; trims now and then. */
  const child = (path: string, options: Partial<SegmentLogOptions>, first: number, seed: number): string => `
    import { openSegmentLog } from ${JSON.stringify(LOG_MODULE)};
    import { writeSync } from 'node:fs';
    ${randomFrom.toString()}
    const random = randomFrom(${seed});
    const log = await openSegmentLog(${JSON.stringify(path)}, ${JSON.stringify({ segmentBytes, ...options })});
    writeSync(1, 'ready\\n');
    for (let number = ${first}; ; number++) {
      const size = random() < 0.05 ? 100_000 : Math.floor(random() * 8_000);
      const end = await log.append([Buffer.from(number + ':'), Buffer.alloc(size, number % 251)]);
      writeSync(1, number + ' ' + end + '\\n');
      if (random() < 0.02) void log.trim(end - 100_000);
    }`;

  async function runAndKill(script: string, afterMs: number): Promise<{ number: number; end: number }[]> {
    const running = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    running.stdout.setEncoding('latin1').on('data', (text: string) => {
      if (output === '') setTimeout(() => running.kill('SIGKILL'), afterMs);
      output += text;
    });
    await once(running, 'close');
    const lines = output.split('\n').slice(1, -1);
    return lines.map((line) => {
      const [number = -1, end = -1] = line.split(' ').map(Number);
      return { number, end };
    });
  }

  it('has every acknowledged record in its log, and at most the one it was writing besides', async () => {
    console.log(`SEED=${SEED}`);
    const random = randomFrom(SEED);
    const ways: Partial<SegmentLogOptions>[] = [
      { sync: 'always' },
      { sync: 'none' },
      { sync: 'always', useDsync: false },
    ];
    let next = 0;
    for (let round = 0; round < 24; round++) {
      const way = ways[round % 4] ?? { sync: 'always' };
      const script = child(folders.current, way, next, Math.floor(random() * 2 ** 32));
      const acknowledged = await runAndKill(script, random() ** 2 * 150);
      next = await expectAcknowledged(acknowledged, next);
    }
  });

  async function expectAcknowledged(acknowledged: { number: number; end: number }[], first: number): Promise<number> {
    return folders.withLog({ segmentBytes }, async (log) => {
      const found = await records(log, Number.parseInt(names('.log', folders.current)[0] ?? '', 16));
      const numbers = found.map((record) => Number.parseInt(Buffer.from(record.body.subarray(0, 12)).toString(), 10));
      const last = numbers.at(-1) ?? first - 1;
      expect(numbers).toEqual(numbers.map((_, index) => last - numbers.length + 1 + index));
      const lastAcknowledged = acknowledged.at(-1)?.number ?? first - 1;
      expect(last - lastAcknowledged).toBeGreaterThanOrEqual(0);
      expect(last - lastAcknowledged).toBeLessThanOrEqual(1);
      const ends = new Map(found.map((record, index) => [numbers[index], record.end]));
      for (const { number, end } of acknowledged) expect(ends.get(number) ?? end).toBe(end);
      return last + 1;
    });
  }
});
