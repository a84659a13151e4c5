/** What the README shows is what happens: each example runs, and prints what its comments say. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const LIB = join(import.meta.dirname, '..');
const EXAMPLES = [...readFileSync(join(LIB, 'README.md'), 'utf8').matchAll(/```ts\n(.*?)```/gs)].map(
  ([, code]) => code!,
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'buffer-pool-readme-'));
  mkdirSync(join(folder, 'node_modules/@plinth'), { recursive: true });
  symlinkSync(LIB, join(folder, 'node_modules/@plinth/buffer-pool'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test.each(EXAMPLES.map((code, at) => [at + 1, code]))('example %i prints what it says', (at, code) => {
  const said = [...String(code).matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, line]) => line);
  expect(said.length).toBeGreaterThan(0);
  const file = join(folder, `example-${at}.mts`);
  writeFileSync(file, String(code));
  const printed = execFileSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000, env: { NO_COLOR: '1' } });
  expect(printed.trim().split('\n')).toEqual(said);
});
