import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { tempDir } from '@plinth/testkit';
import { readRuleFolder } from './rule-folder.ts';

const NAMES = Array.from({ length: 20 }, (_, at) => `${at}.yaml`);

test('files that are swapped while they are read are all of one version', async () => {
  const dir = tempDir('rules');
  for (const name of NAMES) symlinkSync(join('..data', name), join(dir, name));
  let version = 0;
  const swap = () => {
    const folder = `..${++version}`;
    mkdirSync(join(dir, folder));
    for (const name of NAMES) writeFileSync(join(dir, folder, name), String(version));
    symlinkSync(folder, join(dir, '..data_tmp'));
    renameSync(join(dir, '..data_tmp'), join(dir, '..data'));
    if (version > 1) rmSync(join(dir, `..${version - 1}`), { recursive: true });
  };
  swap();
  let reads = 0;
  let isOver = false;
  const swapping = (async () => {
    while (!isOver) {
      swap();
      await sleep(10);
    }
  })();
  const seen = new Set<string>();
  for (let round = 0; round < 60; round++) {
    const state = await readRuleFolder(dir).catch((error: Error) => error);
    if (state instanceof Error) {
      expect(state.message).toContain('changed while it was read');
      continue;
    }
    reads++;
    const texts = state.files.map(({ content }) => ('text' in content ? content.text : content.unreadable));
    seen.add(texts[0]!);
    expect(new Set(texts).size).toBe(1);
  }
  isOver = true;
  await swapping;
  expect(reads).toBeGreaterThan(10);
  expect(seen.size).toBeGreaterThan(5);
});

test('a file beyond 8 MiB is not read, one of that size is', async () => {
  const dir = tempDir('rules');
  for (const [name, bytes] of [
    ['a.yaml', 8_388_608],
    ['b.yaml', 8_388_609],
  ] as const) {
    writeFileSync(join(dir, name), '');
    truncateSync(join(dir, name), bytes);
  }
  const { files } = await readRuleFolder(dir);
  expect(files.map(({ content }) => 'text' in content)).toEqual([true, false]);
});

test('a folder of more than a thousand files of rules is the wrong one', async () => {
  const dir = tempDir('rules');
  for (let at = 0; at < 1_000; at++) writeFileSync(join(dir, `${at}.yaml`), '');
  expect((await readRuleFolder(dir)).files).toHaveLength(1_000);
  writeFileSync(join(dir, '1000.yaml'), '');
  await expect(readRuleFolder(dir)).rejects.toThrow('holds 1001 files of rules; the most is 1000');
});
