import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { LockFile, processIdentity, withLock } from './engines.ts';

const root = mkdtempSync(join(tmpdir(), 'plinth-lock-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('a lock has one holder, until it is released', () => {
  const path = join(root, 'one');
  const [first, second] = [new LockFile(path), new LockFile(path)];
  expect(first.tryTake()).toBe(true);
  expect(second.tryTake()).toBe(false);
  expect(second.holder()?.pid).toBe(process.pid);
  first.release();
  expect(second.tryTake()).toBe(true);
});

test('a lock of a process that is gone is free', () => {
  const path = join(root, 'gone');
  writeFileSync(path, JSON.stringify({ pid: 2 ** 22 + 1, birth: 'long ago' }));
  expect(new LockFile(path).holder()).toBeUndefined();
  expect(new LockFile(path).tryTake()).toBe(true);
});

test('a lock of an earlier process with a pid that is in use again is free', () => {
  const path = join(root, 'reused');
  writeFileSync(path, JSON.stringify({ pid: process.pid, birth: `${processIdentity(process.pid)?.birth}0` }));
  expect(new LockFile(path).tryTake()).toBe(true);
});

test('work under a lock runs one at a time, and an error releases it', async () => {
  const path = join(root, 'work');
  let running = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 20));
    running--;
  };
  await Promise.all([1, 2, 3].map(() => withLock(path, () => {}, work)));
  expect(most).toBe(1);
  await expect(
    withLock(
      path,
      () => {},
      () => Promise.reject(new Error('broken')),
    ),
  ).rejects.toThrow('broken');
  expect(existsSync(path)).toBe(false);
});
