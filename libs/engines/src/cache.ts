/** The per-user cache of engines. Never in the repository: clones share it, and `git clean` leaves it alone. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { lastLines, mustRun, runCommand } from './command.ts';
import type { Engine, EngineBinary, Fetched, Recipe } from './engine.ts';

/** What the cache remembers of an engine, in `engine.json` beside its files. */
type Manifest = Fetched & { source: string };

/** The folder with all engines of this user. */
export function engineCacheDir(env: NodeJS.ProcessEnv): string {
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'plinth', 'engines');
  const home = env.HOME ?? homedir();
  const base = process.platform === 'darwin' ? join(home, 'Library', 'Caches') : join(home, '.cache');
  return join(base, 'plinth', 'engines');
}

/** The engine an earlier run fetched, or undefined when there is none or it no longer runs. */
export async function cachedEngine(recipe: Recipe, folder: string): Promise<Engine | undefined> {
  const text = await readFile(join(folder, 'engine.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  return openFetched(recipe, folder, JSON.parse(text) as Manifest).catch(() => undefined);
}

/**
 * Checks what a way fetched and moves it into the cache.
 * @throws Error when the binary does not run or its version will not do.
 */
export async function keepFetched(options: {
  recipe: Recipe;
  stagingDir: string;
  folder: string;
  fetched: Fetched;
  source: string;
}): Promise<Engine> {
  const { recipe, stagingDir, folder, fetched, source } = options;
  await openFetched(recipe, stagingDir, { ...fetched, source });
  await writeFile(join(stagingDir, 'engine.json'), JSON.stringify({ ...fetched, source }, null, 2));
  await rm(folder, { recursive: true, force: true });
  await mkdir(dirname(folder), { recursive: true });
  await rename(stagingDir, folder);
  return openFetched(recipe, folder, { ...fetched, source });
}

async function openFetched(recipe: Recipe, folder: string, manifest: Manifest): Promise<Engine> {
  const { source } = manifest;
  if ('image' in manifest) {
    // Docker may have gone since, or the image from it.
    await mustRun('docker', ['image', 'inspect', manifest.image], { timeoutMs: 15_000 });
    const version = manifest.image.split(':').at(-1) ?? 'unknown';
    return { kind: 'image', name: recipe.name, version, image: manifest.image, source };
  }
  const libraries = (manifest.libraries ?? []).map((path) => resolve(folder, path));
  const env: Record<string, string> = libraries.length > 0 ? { LD_LIBRARY_PATH: libraries.join(delimiter) } : {};
  return checkBinary(recipe, { command: resolve(folder, manifest.binary), env, source });
}

/**
 * Runs a binary once for its version.
 * @throws Error that says why this binary will not do.
 */
export async function checkBinary(
  recipe: Recipe,
  candidate: { command: string; env: Record<string, string>; source: string },
): Promise<EngineBinary> {
  const { command, env } = candidate;
  const { code, output } = await runCommand(command, recipe.versionArguments ?? ['--version'], {
    env: { ...process.env, ...env },
    timeoutMs: 15_000,
  });
  if (code !== 0) throw new Error(`${command} does not run: ${lastLines(output)}`);
  const version = recipe.parseVersion(output);
  const objection = recipe.objection(output);
  if (version === undefined || objection !== undefined) throw new Error(`${command}: ${objection ?? 'not it'}`);
  return { kind: 'binary', name: recipe.name, version, ...candidate };
}
