import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { runProcess, tempDir } from './testkit.ts';

function script(text: string): string {
  const path = join(tempDir('script'), 'script.ts');
  writeFileSync(path, text);
  return path;
}

test('runs a TypeScript file, captures its lines and kills it', async () => {
  const child = runProcess({
    script: script("const who: string = process.argv[2]!; console.log('hello', who); setInterval(() => {}, 1000);"),
    args: ['world'],
  });
  expect(await child.waitForLine(/^hello/)).toBe('hello world');
  await child.kill();
  expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
});

test('waiting for a line ends when the process does, and shows what it said', async () => {
  const child = runProcess({ script: script("console.error('no luck'); process.exitCode = 3;") });
  await expect(child.waitForLine(/ready/)).rejects.toThrow(/before it ended:\nno luck/);
  expect((await child.exited).code).toBe(3);
});

test('the environment can be added to and taken from', async () => {
  process.env.TESTKIT_GONE = 'here';
  const child = runProcess({
    script: script('console.log(process.env.TESTKIT_NEW, process.env.TESTKIT_GONE);'),
    env: { TESTKIT_NEW: 'new', TESTKIT_GONE: undefined },
  });
  expect(await child.waitForLine(/new/)).toBe('new undefined');
});
