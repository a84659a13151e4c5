/** The first step on a machine that has nothing, in a copy of the repository with next to nothing in it. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { runProcess, tempDir } from '@plinth/testkit';

const BOOTSTRAP = fileURLToPath(new URL('../bootstrap.mjs', import.meta.url));

const TOY = { toy: 'file:toy' };
const TOY_IN_LOCK = { toy: { version: '1.0.0' }, 'node_modules/toy': { resolved: 'toy', link: true } };

/** A repository with one package, which its lock file knows or has not heard of. */
function repository({ isLocked }: { isLocked: boolean }): string {
  const root = tempDir('bootstrap');
  mkdirSync(join(root, 'libs', 'suite'), { recursive: true });
  copyFileSync(BOOTSTRAP, join(root, 'libs', 'suite', 'bootstrap.mjs'));
  const manifest = { name: 'house', version: '1.0.0', dependencies: TOY };
  const packages = isLocked ? { '': manifest, ...TOY_IN_LOCK } : { '': { ...manifest, dependencies: {} } };
  writeFileSync(join(root, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify({ ...manifest, lockfileVersion: 3, packages }));
  mkdirSync(join(root, 'toy'));
  writeFileSync(join(root, 'toy', 'package.json'), JSON.stringify({ name: 'toy', version: '1.0.0' }));
  return root;
}

async function install(root: string): Promise<{ code: number | null; lines: string[] }> {
  const command = runProcess({ script: join(root, 'libs', 'suite', 'bootstrap.mjs'), args: ['install'] });
  const { code } = await command.exited;
  return { code, lines: command.lines };
}

test('packages are installed when they differ from the lock, with a word about it, and then no more', async () => {
  const root = repository({ isLocked: true });
  const first = await install(root);
  expect(first).toMatchObject({
    code: 0,
    lines: [expect.stringMatching(/^packages: npm ci/), expect.stringMatching(/installed in \d+ s/)],
  });
  expect(await install(root)).toEqual({ code: 0, lines: [] });
});

test("a failed install ends with npm's own reason, not with its manual", async () => {
  const { code, lines } = await install(repository({ isLocked: false }));
  expect(code).toBe(1);
  expect(lines.join('\n')).toMatch(/npm ci failed \(exit 1\):\nnpm (error|ERR!) code EUSAGE/);
  expect(lines.length).toBeLessThan(12);
});
