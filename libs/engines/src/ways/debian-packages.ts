/**
 * Debian's packages, unpacked into the cache instead of installed.
 *
 * `apt-get install` needs root and starts a system service on the default port. Downloading and unpacking needs
 * neither and leaves the system as it was; apt still checks each package's signature chain. A simulated install names
 * the libraries this machine lacks, and they are unpacked beside the program and found by LD_LIBRARY_PATH. Slim
 * images have no package lists, so those are fetched into a folder of our own.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { findOnPath, mustRun, runCommand } from '../command.ts';
import { type FetchContext, type Way, WayClosed } from '../engine.ts';

/**
 * @param sets - Sets of packages that together hold the program; the first set that apt knows is taken.
 * @param binaries - Where the program may lie inside the packages, best first.
 */
export function debianPackages(options: { sets: string[][]; binaries: string[] }): Way {
  return {
    name: `apt-get download ${options.sets.map((set) => set[0]).join(' or ')}`,
    source: 'Debian package',
    async fetch({ env, stagingDir, progress }: FetchContext) {
      for (const tool of ['apt-get', 'dpkg-deb']) {
        if (!(await findOnPath(tool, env))) throw new WayClosed(`no ${tool} on PATH`);
      }
      const apt = await aptWithLists({ stagingDir, sets: options.sets, progress });
      progress(`downloading ${apt.needed.length} Debian packages (${apt.needed.join(', ')})`);
      await unpack({ apt, stagingDir });
      const binary = options.binaries.find((path) => existsSync(join(stagingDir, path)));
      if (binary === undefined) throw new Error('the packages hold no server');
      return { binary, libraries: await libraryFolders(stagingDir) };
    },
  };
}

interface Apt {
  /** Options every call needs, so that they all read the same lists. */
  options: string[];
  /** The wanted packages and everything they need that this machine lacks. */
  needed: string[];
}

async function aptWithLists(request: {
  stagingDir: string;
  sets: string[][];
  progress: (line: string) => void;
}): Promise<Apt> {
  const { stagingDir, sets, progress } = request;
  const withSystemLists = await simulateFirst(sets, []);
  if (withSystemLists) return withSystemLists;

  progress("fetching Debian's package lists");
  const own = join(stagingDir, 'apt');
  await mkdir(join(own, 'lists', 'partial'), { recursive: true });
  await mkdir(join(own, 'cache', 'archives', 'partial'), { recursive: true });
  // As root, apt would download as another user who may not write here.
  const ownLists = ['-o', `Dir::State::Lists=${own}/lists`, '-o', `Dir::Cache=${own}/cache`];
  const options = [...ownLists, '-o', 'APT::Sandbox::User=root'];
  await mustRun('apt-get', [...options, '-q', 'update'], { timeoutMs: 120_000 });
  const withOwnLists = await simulateFirst(sets, options);
  if (withOwnLists) return withOwnLists;
  throw new WayClosed(`apt knows none of ${sets.flat().join(', ')}`);
}

async function simulateFirst(sets: string[][], options: string[]): Promise<Apt | undefined> {
  for (const set of sets) {
    const simulated = await runCommand('apt-get', [...options, '-s', 'install', '--no-install-recommends', ...set]);
    const missing = [...simulated.stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] as string);
    // The set itself is unpacked even where a part is installed: the parts link to each other by relative paths.
    if (simulated.code === 0) return { options, needed: [...new Set([...set, ...missing])] };
  }
  return undefined;
}

async function unpack({ apt, stagingDir }: { apt: Apt; stagingDir: string }): Promise<void> {
  const downloads = join(stagingDir, 'debs');
  await mkdir(downloads);
  const args = [...apt.options, '-o', 'APT::Sandbox::User=root', '-q', 'download', ...apt.needed];
  await mustRun('apt-get', args, { cwd: downloads, timeoutMs: 300_000 });
  for (const file of await readdir(downloads)) {
    await mustRun('dpkg-deb', ['-x', join(downloads, file), stagingDir]);
  }
  await rm(downloads, { recursive: true });
  await rm(join(stagingDir, 'apt'), { recursive: true, force: true });
}

/**
 * Folders with shared libraries, relative to the unpacked root: `usr/lib/x86_64-linux-gnu` and the like, and those
 * right below, where packages put what only their own libraries need and name by an absolute path.
 */
async function libraryFolders(root: string): Promise<string[]> {
  const folders: string[] = [];
  for (const parent of ['usr/lib', 'lib']) {
    const names = await readdir(join(root, parent)).catch(() => []);
    for (const name of names.filter((each) => each.includes('-linux-'))) {
      const folder = join(parent, name);
      folders.push(folder);
      for (const below of await readdir(join(root, folder), { withFileTypes: true })) {
        if (below.isDirectory() && (await holdsLibraries(join(root, folder, below.name)))) {
          folders.push(join(folder, below.name));
        }
      }
    }
  }
  return folders;
}

const holdsLibraries = async (folder: string): Promise<boolean> =>
  (await readdir(folder)).some((name) => /^lib.*\.so(\.|$)/.test(name));
