import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { chromiumBrowser } from './chromium.ts';

const root = mkdtempSync(join(tmpdir(), 'plinth-chromium-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let env: NodeJS.ProcessEnv;
let bin: string;
beforeEach(() => {
  const own = mkdtempSync(join(root, 'case-'));
  bin = join(own, 'bin');
  mkdirSync(bin);
  env = { PATH: bin, XDG_CACHE_HOME: join(own, 'cache') };
});

function writeBrowser(name: string, says: string): string {
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\necho "${says}"\n`);
  chmodSync(path, 0o755);
  return path;
}

describe('Chromium', () => {
  test.each([
    ['chromium', 'Chromium 156.0.8078.79 built on Debian 12', '156.0.8078.79'],
    ['google-chrome', 'Google Chrome 141.0.7390.54 ', '141.0.7390.54'],
    ['chromium-headless-shell', 'Chromium 120.0.1.0', '120.0.1.0'],
  ])('is found on PATH as %s', async (name, says, version) => {
    const command = writeBrowser(name, says);
    const found = await chromiumBrowser({ env, mayFetch: false });
    expect(found).toMatchObject({ kind: 'binary', command, version, source: 'PATH' });
  });

  test('that PLINTH_CHROMIUM names goes before one on PATH', async () => {
    writeBrowser('chromium', 'Chromium 156.0.0.0');
    const mine = writeBrowser('mine', 'Chromium 157.0.0.0');
    const found = await chromiumBrowser({ env: { ...env, PLINTH_CHROMIUM: mine }, mayFetch: false });
    expect(found).toMatchObject({ command: mine, source: 'PLINTH_CHROMIUM' });
  });

  test('that PLINTH_CHROMIUM names must be there, and be one', async () => {
    const gone = join(bin, 'gone');
    await expect(chromiumBrowser({ env: { ...env, PLINTH_CHROMIUM: gone } })).rejects.toThrow(
      `PLINTH_CHROMIUM=${gone}: there is no such file`,
    );
    const other = writeBrowser('other', 'Mozilla Firefox 140.0');
    await expect(chromiumBrowser({ env: { ...env, PLINTH_CHROMIUM: other } })).rejects.toThrow('this is not Chromium');
  });

  test('that is too old is passed over, with the reason', async () => {
    writeBrowser('chromium', 'Chromium 119.9.9.9');
    await expect(chromiumBrowser({ env, mayFetch: false })).rejects.toThrow('version 119.9.9.9 is older than 120');
  });
});
