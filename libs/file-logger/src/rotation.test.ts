import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { seededRandom, tempDir } from '@plinth/testkit';
import { surplusFiles } from './retention.ts';
import { moveAside, nextStamp, RotationSchedule, rotatedFiles, stampMs } from './rotation.ts';
import { RotationLock } from './rotation-lock.ts';

const NOON = Date.parse('2026-11-23T12:00:00.000Z');
const HOUR = 3_600_000;

describe('a rotated name', () => {
  test('is the time, and sorts behind all that there are, whatever the clock does', () => {
    const random = seededRandom();
    let newest: string | undefined;
    const names: string[] = [];
    let now = NOON;
    for (let round = 0; round < 2_000; round++) {
      now += random.pick([0, 1, 1, 1_000, -1, -HOUR, 24 * HOUR, -24 * HOUR]);
      newest = nextStamp(newest, now);
      names.push(`app.log.${newest}${random.pick(['', '.gz', '.zst'])}`);
    }
    expect([...names].sort()).toEqual(names);
    expect(new Set(names).size).toBe(2_000);
  });

  test('tells when the file ended', () => {
    expect(nextStamp(undefined, NOON + 123)).toBe('2026-11-23T12-00-00.123Z');
    expect(stampMs('2026-11-23T12-00-00.123Z')).toBe(NOON + 123);
    expect(stampMs('2026-11-23T12-00-00.123Z_000004')).toBe(NOON + 123);
  });

  test('never overwrites, even a file that appeared after the folder was listed', () => {
    const path = join(tempDir(), 'app.log');
    const taken = `${path}.2026-11-23T12-00-00.000Z`;
    writeFileSync(taken, 'theirs');
    writeFileSync(path, 'ours');
    const target = moveAside(path, [], NOON);
    expect(target).toBe(`${taken}_000001`);
    expect([readFileSync(taken, 'utf8'), readFileSync(target, 'utf8')]).toEqual(['theirs', 'ours']);
  });

  test('leaves no placeholder behind when the rename fails', () => {
    const dir = tempDir();
    expect(() => moveAside(join(dir, 'missing.log'), [], NOON)).toThrow('ENOENT');
    expect(readdirSync(dir)).toEqual([]);
  });

  test('files of other names are none of ours', () => {
    const dir = tempDir();
    for (const name of [
      'app.log',
      'app.log.lock',
      'app.log.1',
      'app.log.2026-11-23T12-00-00.000Z.gz.77.tmp',
      'app.log.2026-11-23T12-00-00.000Z.gz',
      'b.log.2026-11-23T12-00-00.000Z',
    ])
      writeFileSync(join(dir, name), '');
    expect(rotatedFiles(join(dir, 'app.log')).map(({ path }) => path.slice(dir.length + 1))).toEqual([
      'app.log.2026-11-23T12-00-00.000Z.gz',
    ]);
  });
});

describe('a period', () => {
  const scheduleAt = (start: number) => {
    const clock = { now: start };
    const schedule = new RotationSchedule({ every: 'hour' }, () => clock.now);
    schedule.begin();
    return { clock, schedule };
  };

  test('is over at its end, and not a millisecond before', () => {
    const { clock, schedule } = scheduleAt(NOON + 5);
    clock.now = NOON + HOUR - 1;
    expect(schedule.isDue).toBe(false);
    clock.now = NOON + HOUR;
    expect(schedule.isDue).toBe(true);
  });

  test('a clock set forward by a day rotates once', () => {
    const { clock, schedule } = scheduleAt(NOON);
    clock.now = NOON + 24 * HOUR;
    expect(schedule.isDue).toBe(true);
    schedule.begin();
    expect(schedule.isDue).toBe(false);
  });

  test('a clock set back by a day does not rotate, and does not put off the next rotation by a day', () => {
    const { clock, schedule } = scheduleAt(NOON);
    clock.now = NOON - 24 * HOUR;
    expect(schedule.isDue).toBe(false);
    clock.now = NOON - 23 * HOUR;
    expect(schedule.isDue).toBe(true);
  });

  test('a file that was last written in an earlier period is due at once', () => {
    const { schedule } = scheduleAt(NOON);
    schedule.begin(NOON - 1);
    expect(schedule.isDue).toBe(true);
  });
});

describe('retention', () => {
  const files = [1, 2, 3, 4].map((hours) => ({
    path: `/x/${hours}`,
    stamp: nextStamp(undefined, NOON + hours * HOUR),
    isCompressed: false,
    sizeBytes: 100,
  }));
  const surplus = (policy: Parameters<typeof surplusFiles>[1]) =>
    surplusFiles(files, policy, NOON + 5 * HOUR).map(({ path }) => path);

  test('keeps all without a bound, and the newest within each bound', () => {
    expect(surplus({})).toEqual([]);
    expect(surplus({ keepFiles: 4 })).toEqual([]);
    expect(surplus({ keepFiles: 3 })).toEqual(['/x/1']);
    expect(surplus({ keepFiles: 0 })).toHaveLength(4);
    expect(surplus({ keepBytes: 400 })).toEqual([]);
    expect(surplus({ keepBytes: 399 })).toEqual(['/x/1']);
    expect(surplus({ keepMs: 2 * HOUR })).toEqual(['/x/1', '/x/2']);
    expect(surplus({ keepMs: 2 * HOUR - 1 })).toEqual(['/x/1', '/x/2', '/x/3']);
    expect(surplus({ keepMs: HOUR * 10, keepFiles: 2, keepBytes: 100 })).toEqual(['/x/1', '/x/2', '/x/3']);
  });
});

describe('the rotation lock', () => {
  test('is held by one, and free again after its release', () => {
    const path = join(tempDir(), 'app.log.lock');
    const first = new RotationLock(path);
    const second = new RotationLock(path);
    expect([first.tryTake(), second.tryTake()]).toEqual([true, false]);
    second.release();
    expect(second.tryTake()).toBe(false);
    first.release();
    expect(second.tryTake()).toBe(true);
  });

  test('of a process that is gone is broken', () => {
    const dir = tempDir();
    mkdirSync(dir, { recursive: true });
    const path = join(dir, 'app.log.lock');
    const lock = new RotationLock(path);
    lock.tryTake();
    // No process has a number this high.
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^\d+/, '4194999'));
    expect(new RotationLock(path).tryTake()).toBe(true);
  });
});
