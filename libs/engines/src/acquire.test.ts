import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeEach, expect, test } from '@jest/globals';
import { acquire } from './acquire.ts';
import { type Recipe, type Way, WayClosed } from './engine.ts';

const root = mkdtempSync(join(tmpdir(), 'plinth-acquire-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let env: NodeJS.ProcessEnv;
let fetches: string[];
beforeEach(() => {
  const own = mkdtempSync(join(root, 'case-'));
  mkdirSync(join(own, 'bin'));
  env = { PATH: join(own, 'bin'), XDG_CACHE_HOME: join(own, 'cache') };
  fetches = [];
});

/** A shell script that says its version, as a server does. */
function writeServer(path: string, version: string): void {
  writeFileSync(path, `#!/bin/sh\necho "toy v${version}"\n`);
  chmodSync(path, 0o755);
}

function toyRecipe(ways: Way[]): Recipe {
  const parseVersion = (output: string) => /^toy v(\d+)/.exec(output)?.[1];
  const objection = (output: string) => (Number(parseVersion(output)) >= 2 ? undefined : 'too old');
  return { name: 'toy', urlVariable: 'TOY_URL', commands: ['toy'], cacheKey: 'toy', parseVersion, objection, ways };
}

const closed: Way = {
  name: 'closed',
  source: 'closed',
  fetch: () => Promise.reject(new WayClosed('not on this machine')),
};

function open(version = '3', delayMs = 0): Way {
  return {
    name: 'open',
    source: 'open',
    async fetch({ stagingDir }) {
      fetches.push(version);
      await sleep(delayMs);
      writeServer(join(stagingDir, 'toy'), version);
      return { binary: 'toy' };
    },
  };
}

test('a given URL comes before everything, and nothing is fetched', async () => {
  const engine = await acquire(toyRecipe([open()]), { env: { ...env, TOY_URL: 'toy://there' } });
  expect(engine).toEqual({ kind: 'url', name: 'toy', url: 'toy://there', source: 'TOY_URL' });
  expect(fetches).toEqual([]);
});

test('a good binary on PATH is used', async () => {
  writeServer(join(env.PATH as string, 'toy'), '2');
  const engine = await acquire(toyRecipe([open()]), { env });
  expect(engine).toMatchObject({ kind: 'binary', version: '2', source: 'PATH' });
});

test('an old binary on PATH is passed over', async () => {
  writeServer(join(env.PATH as string, 'toy'), '1');
  expect(await acquire(toyRecipe([open()]), { env })).toMatchObject({ version: '3', source: 'open' });
});

test('the first open way is taken, and its result is cached for the next caller', async () => {
  const recipe = toyRecipe([closed, open()]);
  const first = await acquire(recipe, { env });
  expect(await acquire(recipe, { env })).toEqual(first);
  expect(fetches).toEqual(['3']);
});

test('concurrent callers fetch once', async () => {
  const lines: string[] = [];
  const recipe = toyRecipe([open('3', 150)]);
  const progress = (line: string) => lines.push(line);
  const engines = await Promise.all([1, 2, 3].map(() => acquire(recipe, { env, progress })));
  expect(new Set(engines.map((engine) => JSON.stringify(engine))).size).toBe(1);
  expect(fetches).toEqual(['3']);
  expect(lines).toContain(`toy: another process (pid ${process.pid}) is fetching it; waiting`);
});

test('a way that yields a bad version is passed over', async () => {
  expect(await acquire(toyRecipe([open('1'), open('4')]), { env })).toMatchObject({ version: '4' });
});

test('when every way is closed, the error lists each with its reason', async () => {
  await expect(acquire(toyRecipe([closed, open('1')]), { env })).rejects.toMatchObject({
    name: 'EngineUnavailable',
    reasons: [
      'TOY_URL: not set',
      'PATH: no toy',
      'closed: not on this machine',
      expect.stringMatching(/^open: .*: too old$/),
    ],
  });
});

test('nothing is fetched for a caller who wants only what is here, and what was fetched before is', async () => {
  await expect(acquire(toyRecipe([open()]), { env, mayFetch: false })).rejects.toMatchObject({
    reasons: ['TOY_URL: not set', 'PATH: no toy'],
  });
  expect(fetches).toEqual([]);
  await acquire(toyRecipe([open()]), { env });
  expect(await acquire(toyRecipe([open()]), { env, mayFetch: false })).toMatchObject({ version: '3' });
});

test('a cached binary that no longer runs is fetched anew', async () => {
  const recipe = toyRecipe([open()]);
  const engine = await acquire(recipe, { env });
  if (engine.kind !== 'binary') throw new Error('expected a binary');
  rmSync(engine.command);
  await acquire(recipe, { env });
  expect(fetches).toEqual(['3', '3']);
});
