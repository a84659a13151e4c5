/**
 * The order in which an engine is looked for: a given URL, a good binary on PATH, the cache of this user, and then
 * the recipe's ways one after the other. Only the last step needs the network, and only it takes the lock: concurrent
 * callers (the workers of a test run, an `up` beside them) wait for the first and then find its result in the cache.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cachedEngine, checkBinary, engineCacheDir, keepFetched } from './cache.ts';
import { findOnPath } from './command.ts';
import type { Engine, Progress, Recipe, Way } from './engine.ts';
import { withLock } from './lock-file.ts';

/** Options of `natsServer`, `redisServer` and `jaegerServer`. */
export interface AcquireOptions {
  /** The environment that is asked for URLs, PATH and the cache. The process's own by default. */
  env?: NodeJS.ProcessEnv;
  progress?: Progress;
  /** True: a server given by URL does not count, for callers that need one of their own, such as tests. */
  ignoreUrl?: boolean;
  /** False: only what is on this machine already. */
  mayFetch?: boolean;
}

/** No way led to an engine. The message lists each way and why it failed. */
export class EngineUnavailable extends Error {
  readonly reasons: string[];

  constructor(recipe: Recipe, reasons: string[]) {
    const list = reasons.map((reason) => `  - ${reason}`).join('\n');
    super(
      `${recipe.name} is not on this machine and could not be fetched. Tried, in order:\n${list}\n` +
        `Install ${recipe.commands.join(' or ')} yourself, or set ${recipe.urlVariable} to one that runs.`,
    );
    this.name = 'EngineUnavailable';
    this.reasons = reasons;
  }
}

/**
 * Finds or fetches an engine.
 * @throws EngineUnavailable when every way is closed.
 * Cost: one `--version` call when it is on PATH or cached; up to minutes the first time.
 */
export async function acquire(recipe: Recipe, options: AcquireOptions = {}): Promise<Engine> {
  const { env = process.env, progress = () => {}, ignoreUrl = false, mayFetch = true } = options;
  const url = env[recipe.urlVariable];
  if (url && !ignoreUrl) return { kind: 'url', name: recipe.name, url, source: recipe.urlVariable };

  const reasons: string[] = ignoreUrl ? [] : [`${recipe.urlVariable}: not set`];
  const folder = join(engineCacheDir(env), recipe.cacheKey);
  const found = (await onPath(recipe, env, reasons)) ?? (await cachedEngine(recipe, folder));
  if (found) return found;
  if (!mayFetch) throw new EngineUnavailable(recipe, reasons);

  const onWait = (pid: number) => progress(`${recipe.name}: another process (pid ${pid}) is fetching it; waiting`);
  return withLock(`${folder}.lock`, onWait, async () => {
    // Whoever held the lock before may have left it in the cache.
    return (await cachedEngine(recipe, folder)) ?? fetchAnew(recipe, { env, progress, folder, reasons });
  });
}

async function onPath(recipe: Recipe, env: NodeJS.ProcessEnv, reasons: string[]): Promise<Engine | undefined> {
  for (const name of recipe.commands) {
    const command = await findOnPath(name, env);
    if (command === undefined) {
      reasons.push(`PATH: no ${name}`);
      continue;
    }
    try {
      return await checkBinary(recipe, { command, env: {}, source: 'PATH' });
    } catch (error) {
      reasons.push(`PATH: ${messageOf(error)}`);
    }
  }
  return undefined;
}

interface FetchPlan {
  env: NodeJS.ProcessEnv;
  progress: Progress;
  folder: string;
  reasons: string[];
}

async function fetchAnew(recipe: Recipe, plan: FetchPlan): Promise<Engine> {
  for (const way of recipe.ways) {
    try {
      return await tryWay(recipe, way, plan);
    } catch (error) {
      plan.reasons.push(`${way.name}: ${messageOf(error)}`);
    }
  }
  throw new EngineUnavailable(recipe, plan.reasons);
}

async function tryWay(recipe: Recipe, way: Way, { env, progress, folder }: FetchPlan): Promise<Engine> {
  await removeLeftovers(folder);
  const stagingDir = await mkdtemp(`${folder}.staging-`);
  try {
    const fetched = await way.fetch({ env, stagingDir, progress: (line) => progress(`${recipe.name}: ${line}`) });
    const engine = await keepFetched({ recipe, stagingDir, folder, fetched, source: way.source });
    progress(`${recipe.name}: ready (${way.source})`);
    return engine;
  } finally {
    await rm(stagingDir, { recursive: true, force: true });
  }
}

/** Whoever was killed while fetching left its folder; we hold the lock, so nobody is using it. */
async function removeLeftovers(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  for (const name of await readdir(dirname(folder))) {
    const path = join(dirname(folder), name);
    if (path.startsWith(`${folder}.staging-`)) await rm(path, { recursive: true, force: true });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
