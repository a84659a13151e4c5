import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { LogFile } from './log-file.ts';

test('a log is turned over at its bound, and only one older file is kept', () => {
  const path = join(tempDir('log'), 'kv.log');
  const log = new LogFile(path, 100);
  for (let line = 0; line < 50; line++) log.write(`line ${line}`);
  log.close();
  expect(statSync(path).size).toBeLessThanOrEqual(110);
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(110);
  expect(existsSync(`${path}.2`)).toBe(false);
  expect(readFileSync(path, 'utf8')).toContain('line 49');
});

test('a log goes on where an earlier run left it', () => {
  const path = join(tempDir('log'), 'kv.log');
  for (const line of ['first', 'second']) {
    const log = new LogFile(path);
    log.write(line);
    log.close();
  }
  expect(readFileSync(path, 'utf8')).toBe('first\nsecond\n');
});
