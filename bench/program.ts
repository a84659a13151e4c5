/**
 * Finds the programs a benchmark runs: on PATH, in this user's cache, or fetched into that cache.
 *
 * Packages are unpacked rather than installed where that is possible: installing `etcd-server` or `redis-server` would
 * start a service on the default port of the machine that is to be measured.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
// The engines library keeps its ways of fetching to itself so far; these are the only deep imports of bench/.
import { engineCacheDir } from '../libs/engines/src/cache.ts';
import { findOnPath } from '../libs/engines/src/command.ts';
import type { Way } from '../libs/engines/src/engine.ts';
import { debianPackages } from '../libs/engines/src/ways/debian-packages.ts';
import { homebrew } from '../libs/engines/src/ways/homebrew.ts';

/** A program that can be run here. */
export interface Program {
  command: string;
  /** Variables it needs, such as the path of libraries unpacked beside it. */
  env: Record<string, string>;
}

/** Where a program comes from when it is not on PATH. */
export interface ProgramSource {
  name: string;
  /** All that have to lie side by side for it to run. */
  debianPackages: string[];
  brewFormula: string;
}

/** No way led to the program; the message says what to install. */
export class ProgramMissing extends Error {}

/** Receives one line for a person who waits. */
export type Progress = (line: string) => void;

/**
 * Finds or fetches a program.
 * @throws ProgramMissing with every reason.
 */
export async function findProgram(source: ProgramSource, progress: Progress): Promise<Program> {
  const onPath = await findOnPath(source.name, process.env);
  if (onPath !== undefined) return { command: onPath, env: {} };
  const folder = join(engineCacheDir(process.env), '..', 'bench', source.name);
  return (await cached(folder)) ?? fetchInto(folder, source, progress);
}

/** Where a program comes from that only its makers' toolchain can give. */
export interface BuildSource {
  name: string;
  /** Part of the folder's name in the cache, so that a new version is built anew. */
  version: string;
  way: Way;
  /** What a person could do where the way is closed. */
  advice: string;
}

/**
 * Finds the program an earlier run built, or builds it, which may take minutes. What lies on PATH is not asked: the
 * figure is of the version that is named.
 * @throws ProgramMissing with the reason.
 */
export async function buildProgram(source: BuildSource, progress: Progress): Promise<Program> {
  const { name, version, way, advice } = source;
  const folder = join(engineCacheDir(process.env), '..', 'bench', `${name}-${version}`);
  const known = await cached(folder);
  if (known !== undefined) return known;
  try {
    return await fetchBy(way, folder, (line) => progress(`${name}: ${line}`));
  } catch (error) {
    throw new ProgramMissing(`${name} could not be built (${way.name}: ${(error as Error).message}); ${advice}`);
  }
}

/** Runs a program to its end. @returns What it wrote. @throws Error with its last words when it fails. */
export function runProgram({ command, env }: Program, args: string[]): Promise<string> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolveOutput, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolveOutput(output);
      else reject(new Error(`${command} ended with ${code}: ${output.trim().slice(-300)}`));
    });
  });
}

async function fetchInto(folder: string, source: ProgramSource, progress: Progress): Promise<Program> {
  const { name, debianPackages: packages, brewFormula } = source;
  const ways = [
    debianPackages({ sets: [packages], binaries: [`usr/bin/${name}`] }),
    homebrew({ formula: brewFormula, binary: name }),
  ];
  const reasons: string[] = [];
  for (const way of ways) {
    try {
      return await fetchBy(way, folder, (line) => progress(`${name}: ${line}`));
    } catch (error) {
      reasons.push(`${way.name}: ${(error as Error).message}`);
    }
  }
  const advice = `install it: apt-get install ${packages.join(' ')}, or brew install ${brewFormula}`;
  throw new ProgramMissing(`${name} is not on PATH and could not be fetched (${reasons.join('; ')}); ${advice}`);
}

async function fetchBy(way: Way, folder: string, progress: Progress): Promise<Program> {
  await mkdir(dirname(folder), { recursive: true });
  const stagingDir = await mkdtemp(`${folder}.staging-`);
  try {
    const fetched = await way.fetch({ env: process.env, stagingDir, progress });
    await writeFile(join(stagingDir, 'program.json'), JSON.stringify(fetched));
    await rm(folder, { recursive: true, force: true });
    await rename(stagingDir, folder);
  } finally {
    await rm(stagingDir, { recursive: true, force: true });
  }
  return (await cached(folder))!;
}

async function cached(folder: string): Promise<Program | undefined> {
  const text = await readFile(join(folder, 'program.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const { binary, libraries = [] } = JSON.parse(text) as { binary: string; libraries?: string[] };
  const path = libraries.map((library) => resolve(folder, library)).join(delimiter);
  return { command: resolve(folder, binary), env: path === '' ? {} : { LD_LIBRARY_PATH: path } };
}
